"""What moto's DynamoDB lacks: one request at a time, calls that cost what they touch."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from ndr.aws.ledger import ATTRIBUTES, KEY_SCHEMA
from standins.specs import TABLE


def make_ledger_table(name: str) -> None:
    """A table that ledgers can be kept in."""
    import boto3  # noqa: PLC0415 - slow to load

    with closing(boto3.client("dynamodb")) as client:
        client.create_table(
            TableName=name, KeySchema=KEY_SCHEMA, AttributeDefinitions=ATTRIBUTES, BillingMode="PAY_PER_REQUEST"
        )


def make_spec_table(name: str = TABLE) -> Any:
    """An empty table of specifications, and a client for it."""
    import boto3  # noqa: PLC0415 - slow to load

    keys = {"project_name": "HASH", "job_name": "RANGE"}
    client = boto3.client("dynamodb")
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        BillingMode="PAY_PER_REQUEST",
    )
    return client


@contextmanager
def faithful() -> Iterator[None]:
    """Mend moto in this process: requests to DynamoDB exclude each other, as its transactions would among themselves.

    Moto takes back a failed transaction by restoring a deep copy of whole tables, with whatever others wrote meanwhile;
    here the copy shares the items, which are replaced when they are put, and copied before they are updated. And it
    looks through the whole table for the items of one hash key.
    """
    from moto.dynamodb.models import DynamoDBBackend  # noqa: PLC0415 - slow to load
    from moto.dynamodb.models.table import Table  # noqa: PLC0415
    from moto.dynamodb.responses import DynamoHandler  # noqa: PLC0415

    before = DynamoHandler.call_action, DynamoDBBackend.update_item, Table.query
    copied = Table.__dict__.get("__deepcopy__")
    one_at_a_time = threading.RLock()

    def call_action(self: Any) -> Any:
        with one_at_a_time:
            return before[0](self)

    def update_item(self: Any, table_name: str, key: dict[str, Any], *rest: Any, **more: Any) -> Any:
        table = self.get_table(table_name)
        value = table.items.get(_typed(key[table.hash_key_attr]))
        if isinstance(value, dict) and table.range_key_attr in key:
            place = _typed(key[table.range_key_attr])
            if place in value:
                value[place] = copy.deepcopy(value[place])
        return before[1](self, table_name, key, *rest, **more)

    def query(self: Any, hash_key: Any, *rest: Any, **more: Any) -> Any:
        some = copy.copy(self)
        if not more.get("index_name") and rest[6:7] in {(), (None,)}:
            some.items = {hash_key: self.items.get(hash_key, {})}
        return before[2](some, hash_key, *rest, **more)

    DynamoHandler.call_action, DynamoDBBackend.update_item, Table.query = call_action, update_item, query
    Table.__deepcopy__ = _shared
    try:
        yield
    finally:
        DynamoHandler.call_action, DynamoDBBackend.update_item, Table.query = before
        if copied is None:
            del Table.__deepcopy__
        else:
            Table.__deepcopy__ = copied


def _typed(value: dict[str, Any]) -> Any:
    from moto.dynamodb.models.dynamo_type import DynamoType  # noqa: PLC0415

    return DynamoType(value)


def _shared(table: Any, _: dict[int, Any]) -> Any:
    """A copy of a table that shares its items."""
    made = copy.copy(table)
    made.items = type(table.items)(dict)
    made.items.update({name: dict(held) if isinstance(held, dict) else held for name, held in table.items.items()})
    return made
