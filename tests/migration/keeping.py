"""Items of the previous platform, put into a table as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from standins.specs import TABLE

from ndr.aws.attributes import decoded

FOLDER = Path(__file__).parent


def items(name: str) -> list[dict[str, Any]]:
    """The items of a file, as DynamoDB writes them."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["Items"]


def keep(client: Any, found: list[dict[str, Any]], table: str = TABLE) -> None:
    """Put items into the table."""
    for item in found:
        client.put_item(TableName=table, Item=item)


def specs(name: str) -> dict[str, Any]:
    """The specs of a file, job by job."""
    return {
        item["job_name"]["S"].partition("#")[0]: decoded(item.get("spec") or item["parameters"], "")
        for item in items(name)
    }


def at(values: Any, key: str) -> Any:
    """The value at a dotted path of maps and lists."""
    for step in key.split("."):
        values = values[int(step)] if isinstance(values, list) else values[step]
    return values
