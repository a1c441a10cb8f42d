"""Buckets, tables and logs: what outlives the stack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ndr.aws.deployment.parts import Resources
from ndr.aws.names import logical_name, repository_name
from ndr.aws.policy import LEDGER_TABLE, LOG_GROUP, SPECS_TABLE, raw_logs
from ndr.errors import UsageError, near_miss, shown
from ndr.places import lake_root, mounts
from ndr.specs import Config
from ndr.tables.feature_groups import FeatureStore

_KEPT = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}


@dataclass(frozen=True)
class Existing:
    """What is there already, by name, and stays as it is: of another stack, or of one that was deleted."""

    buckets: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()

    def check(self, config: Config) -> None:
        """See that the configuration uses all of it.

        Raises:
            SpecError: a prefix is none, or nothing says where the lake lies.
            UsageError: something is called existing that the configuration does not use.
        """
        ours = () if config.pipeline_defaults.processing_image_uri else (repository_name(config.project_name),)
        for kind, said, used in (
            ("prefix in the bucket", self.buckets, buckets(config)),
            ("table", self.tables, tables(config)),
            ("repository", self.repositories, ours),
        ):
            for name in said:
                if name not in used:
                    raise UsageError(
                        f"the configuration has no {kind} {shown(name)!r}.{near_miss(name, used)} "
                        f"It uses {', '.join(used) or 'none'}."
                    )


def buckets(config: Config) -> list[str]:
    """The buckets that the prefixes of the configuration name, the lake's first.

    Raises:
        SpecError: a prefix is none, or nothing says where the lake lies.
    """
    places = [lake_root(config), *mounts(config).values(), *raw_logs(config)]
    spec = config.other("feature_store_ingest")
    if isinstance(spec, FeatureStore) and spec.offline_s3_prefix:
        places.append(spec.offline_s3_prefix)
    return list(dict.fromkeys(place.removeprefix("s3://").partition("/")[0] for place in places))


def bucket_resource(name: str) -> str:
    """What the template calls a bucket.

    >>> bucket_resource("acme-lake")
    'BucketAcmeLake'
    """
    return logical_name("Bucket", name)


def tables(config: Config) -> tuple[str, str]:
    """The tables of JobSpecs and of the ledger."""
    defaults = config.pipeline_defaults
    return defaults.table_name or SPECS_TABLE, defaults.ledger_table_name or LEDGER_TABLE


def storage(config: Config, existing: Existing) -> Resources:
    """What is stored: buckets and tables that are not there yet, and what jobs say.

    Raises:
        SpecError: as ``buckets``.
    """
    specs, ledger = tables(config)
    made = {
        "JobSpecTable": _table(specs, "project_name", "job_name"),
        "LedgerTable": _table(ledger, "pk", "sk"),
    }
    found: Resources = {
        **{name: each for name, each in made.items() if each["Properties"]["TableName"] not in existing.tables},
        "LogGroup": {
            "Type": "AWS::Logs::LogGroup",
            "Condition": "MakesLogGroup",
            **_KEPT,
            "Properties": {"LogGroupName": LOG_GROUP, "RetentionInDays": {"Ref": "LogRetentionDays"}},
        },
    }
    told = {place.removeprefix("s3://").partition("/")[0] for place in raw_logs(config)}
    for name in buckets(config):
        if name not in existing.buckets:
            found[bucket_resource(name)] = _bucket(name, tells=name in told)
            found[f"{bucket_resource(name)}Policy"] = _secure_only(name)
    return found


def _bucket(name: str, *, tells: bool) -> dict[str, Any]:
    """A private bucket that keeps what was overwritten for a month; one of logs ``tells`` of objects that come."""
    events = {"NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}}
    old, cut = {"NoncurrentDays": 30}, {"DaysAfterInitiation": 1}
    return {
        "Type": "AWS::S3::Bucket",
        **_KEPT,
        "Properties": {
            "BucketName": name,
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
            "VersioningConfiguration": {"Status": "Enabled"},
            "PublicAccessBlockConfiguration": dict.fromkeys(
                ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
            ),
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "LifecycleConfiguration": {
                "Rules": [
                    {"Id": "versions", "Status": "Enabled", "NoncurrentVersionExpiration": old},
                    {"Id": "uploads", "Status": "Enabled", "AbortIncompleteMultipartUpload": cut},
                ]
            },
            **(events if tells else {}),
        },
    }


def _secure_only(name: str) -> dict[str, Any]:
    bucket = f"arn:${{AWS::Partition}}:s3:::{name}"
    return {
        "Type": "AWS::S3::BucketPolicy",
        "Properties": {
            "Bucket": {"Ref": bucket_resource(name)},
            "PolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "TlsOnly",
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "s3:*",
                        "Resource": [bucket, f"{bucket}/*"],
                        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                    }
                ],
            },
        },
    }


def _table(name: str, first: str, then: str) -> dict[str, Any]:
    return {
        "Type": "AWS::DynamoDB::Table",
        **_KEPT,
        "Properties": {
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": each, "AttributeType": "S"} for each in (first, then)],
            "KeySchema": [
                {"AttributeName": first, "KeyType": "HASH"},
                {"AttributeName": then, "KeyType": "RANGE"},
            ],
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
            "DeletionProtectionEnabled": True,
        },
    }
