"""An account: every service that jobs talk to, on stand-ins, with the environment that leads there and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

from ndr.aws.clients import client
from standins.credentials import environment
from standins.dynamodb import faithful
from standins.feature_store import Store, feature_store
from standins.moto import moto
from standins.postgres import Postgres, postgres
from standins.redshift import Redshift, redshift
from standins.s3 import make_bucket, seaweedfs


@dataclass(frozen=True)
class Account:
    """The stand-ins that tests and the demo look into; buckets, tables and pipelines are asked for as on AWS."""

    s3: str
    redshift: Redshift
    postgres: Postgres
    """What the tables of Redshift lie in."""
    features: Store
    environment: Mapping[str, str]


@contextmanager
def account() -> Iterator[Account]:
    """An empty account; this process can reach no other, and it is gone at the end."""
    with ExitStack() as stack:
        stack.enter_context(faithful())
        control, s3 = stack.enter_context(moto()), stack.enter_context(seaweedfs())
        database = stack.enter_context(postgres())
        base = stack.enter_context(redshift(database, s3))
        store = stack.enter_context(feature_store(others=control))
        known = environment(
            s3=s3, dynamodb=control, sts=control, redshift_data=base.url, sagemaker=store.url,
            sagemaker_featurestore_runtime=store.url,
        )  # fmt: skip
        stack.enter_context(_environment(known))
        yield Account(s3, base, database, store, known)


@contextmanager
def _environment(known: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(known)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def deploy(template: Mapping[str, Any], s3: str) -> list[str]:
    """Make the buckets and tables of a template; what an account would make of the rest, it says itself."""
    made = []
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::S3::Bucket":
            made.append(f"s3://{make_bucket(s3, properties['BucketName'])}")
        if resource["Type"] == "AWS::DynamoDB::Table":
            wanted = ("TableName", "BillingMode", "AttributeDefinitions", "KeySchema")
            with closing(client("dynamodb")) as dynamodb:
                dynamodb.create_table(**{name: properties[name] for name in wanted})
            made.append(f"DynamoDB table {properties['TableName']}")
    return made
