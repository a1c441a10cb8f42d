"""What jobs may do on AWS: statements of IAM, each exact, that follow from the configuration."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ndr.aws.names import logical_name, repository_name
from ndr.places import lake_root, mounts, s3_prefix
from ndr.specs import Config
from ndr.tables import TABLES
from ndr.tables.destinations import RedshiftAccess
from ndr.tables.feature_groups import FeatureStore
from ndr.tables.inference import Inference
from ndr.tables.inventory_unload import InventoryUnload
from ndr.tables.prediction_feature_join import Destination, Join

Statement = Mapping[str, Any]
SPECS_TABLE = "ndr-job-specs"
LEDGER_TABLE = "ndr-ledger"
LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
"""Where SageMaker writes what every processing job of an account says."""

INPUTS: Mapping[str, tuple[str, ...]] = {"delta_builder": ("input", "s3_prefix")}
"""Job -> the key of its spec that says where raw logs lie."""
_FILES = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload")
_LEDGER = (
    "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query",
    "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem",
)  # fmt: skip
_RECORDS = ("sagemaker:DescribeFeatureGroup", "sagemaker:PutRecord", "sagemaker:BatchWriteRecord")
_SCORES = ("inference_predictions", "prediction_feature_join", "feature_store_ingest")
"""Jobs that make predictions where there are none yet."""
_ECR = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([^:@]+)(?:[:@].+)?")


@dataclass(frozen=True)
class Account:
    """Where resources lie; without a word, wherever CloudFormation makes the stack.

    Redshift Serverless names a workgroup in ARNs by an id that only it knows: ``workgroups`` has them by name.
    """

    number: str = "${AWS::AccountId}"
    region: str = "${AWS::Region}"
    partition: str = "${AWS::Partition}"
    workgroups: Mapping[str, str] = field(default_factory=dict)

    def arn(self, service: str, resource: str, region: str | None = None) -> str:
        """The ARN of a resource of this account."""
        return f"arn:{self.partition}:{service}:{region or self.region}:{self.number}:{resource}"

    def bucket(self, place: str) -> tuple[str, str]:
        """The ARN of the bucket of an address on S3, and the prefix in it, which is empty or ends with a slash."""
        name, _, prefix = place.removeprefix("s3://").partition("/")
        return f"arn:{self.partition}:s3:::{name}", f"{prefix.rstrip('/')}/" if prefix else ""

    def named(self, kind: str, name: str, region: str | None = None) -> list[str]:
        """A resource of SageMaker, whose ARNs have its name in lower case."""
        return [self.arn("sagemaker", f"{kind}/{each}", region) for each in sorted({name, name.lower()})]


def workgroup_parameter(name: str) -> str:
    """The parameter of the template that tells the id of a workgroup.

    >>> workgroup_parameter("dwh-main")
    'WorkgroupIdDwhMain'
    """
    return logical_name("WorkgroupId", name)


def policy(config: Config, jobs: Collection[str], here: Account | None = None) -> list[Statement]:
    """What the containers that run these jobs may do, and nothing else.

    A job makes whatever it reads and lacks, so that every job may write the whole lake.

    Raises:
        SpecError: a spec breaks a rule, or nothing says where the lake lies.
    """
    return [*shared(config, here), *particular(config, jobs, here)]


def shared(config: Config, here: Account | None = None) -> list[Statement]:
    """What every job may do: with the lake, both tables, and its own container.

    Raises:
        SpecError: as ``policy``.
    """
    here = here or Account()
    return [
        *places("Lake", here, [lake_root(config), *mounts(config).values()], _FILES),
        *_tables(config, here),
        *_container(config, here),
    ]


def particular(config: Config, jobs: Collection[str], here: Account | None = None) -> list[Statement]:
    """What these jobs may do beside what all may.

    Raises:
        SpecError: as ``policy``.
    """
    here = here or Account()
    found: list[Statement] = []
    if "delta_builder" in jobs:
        found += places("Logs", here, raw_logs(config), ("s3:GetObject",))
    if set(_SCORES) & set(jobs):
        found += _model(config, here)
    if "machine_inventory_unload" in jobs and isinstance(
        unload := config.other("machine_inventory_unload"), InventoryUnload
    ):
        found += _redshift("Inventory", unload.redshift, here)
    if "prediction_feature_join" in jobs and (table := destination(config).redshift):
        found += _redshift("Copy", table, here)
    if "feature_store_ingest" in jobs and isinstance(spec := config.other("feature_store_ingest"), FeatureStore):
        found += _feature_store(spec, config, here)
    return found


def raw_logs(config: Config) -> list[str]:
    """Where the raw logs lie that jobs import.

    Raises:
        SpecError: it is no prefix on S3.
    """
    found = []
    for job, (group, key) in INPUTS.items():
        values = config.jobs.get(job, {}).get(group)
        if isinstance(values, dict) and values.get(key) is not None:
            found.append(s3_prefix(values[key], f"jobs.{job}.{group}.{key}"))
    return found


def destination(config: Config) -> Destination:
    """Where joined predictions go besides the lake.

    Raises:
        SpecError: the spec breaks a rule.
    """
    spec = config.spec(TABLES["prediction_feature_join"])
    return spec.destination if isinstance(spec, Join) else Join().destination


def allow(sid: str, actions: Iterable[str], resources: Iterable[str], **condition: Any) -> Statement:
    """A statement of IAM; ``condition`` has operators with keys and values."""
    said = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(dict.fromkeys(resources))}
    return said | ({"Condition": condition} if condition else {})


def places(what: str, here: Account, prefixes: Iterable[str], actions: Collection[str]) -> list[Statement]:
    """What may be done with the objects below prefixes, whose names may be listed, bucket by bucket.

    S3 tells that an object is missing only to who may list the bucket, and asks without a prefix then; whoever writes
    has to know what is missing, and may therefore list without one, too.
    """
    buckets: dict[str, list[str]] = {}
    for place in prefixes:
        bucket, prefix = here.bucket(place)
        if not any(prefix.startswith(known) for known in buckets.setdefault(bucket, [])):
            buckets[bucket] = [*(known for known in buckets[bucket] if not known.startswith(prefix)), prefix]
    if not buckets:
        return []
    files = [f"{bucket}/{prefix}*" for bucket, found in buckets.items() for prefix in found]
    operator = "StringLikeIfExists" if "s3:PutObject" in actions else "StringLike"
    lists = [
        allow(f"{what}Names{i or ''}", ("s3:ListBucket",), [bucket],
               **{operator: {"s3:prefix": [f"{prefix}*" for prefix in found]}})
        for i, (bucket, found) in enumerate(buckets.items())
    ]  # fmt: skip
    return [allow(f"{what}Files", actions, files), *lists]


def _tables(config: Config, here: Account) -> list[Statement]:
    specs = config.pipeline_defaults.table_name or SPECS_TABLE
    ledger = config.pipeline_defaults.ledger_table_name or LEDGER_TABLE
    return [
        allow("JobSpecs", ("dynamodb:GetItem", "dynamodb:Query"), [here.arn("dynamodb", f"table/{specs}")]),
        allow("Ledger", _LEDGER, [here.arn("dynamodb", f"table/{ledger}")]),
    ]


def _container(config: Config, here: Account) -> list[Statement]:
    """What SageMaker does in the name of the role: fetch the image, keep what the job says, tell how busy it is."""
    group = here.arn("logs", f"log-group:{LOG_GROUP}")
    image = config.pipeline_defaults.processing_image_uri
    ours = here.arn("ecr", f"repository/{repository_name(config.project_name)}")
    known = _ECR.fullmatch(image) if image else None
    region = known[2] if known else here.region
    repository = f"arn:{here.partition}:ecr:{known[2]}:{known[1]}:repository/{known[3]}" if known else ours
    logs = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents")
    layers = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
    return [
        allow("Words", logs, [f"{group}:*"]),
        allow("Image", layers, [repository]),
        allow("ImageToken", ("ecr:GetAuthorizationToken",), ["*"], StringEquals={"aws:RequestedRegion": region}),
        allow("Figures", ("cloudwatch:PutMetricData",), ["*"],
               StringEquals={"cloudwatch:namespace": "/aws/sagemaker/ProcessingJobs"}),
    ]  # fmt: skip


def _model(config: Config, here: Account) -> list[Statement]:
    spec = config.spec(TABLES["predictions"])
    model = spec.model if isinstance(spec, Inference) else Inference().model
    if model.endpoint_name:
        endpoint = here.named("endpoint", model.endpoint_name, model.region)
        return [allow("Endpoint", ("sagemaker:InvokeEndpoint",), endpoint)]
    if model.model_uri and model.model_uri.startswith("s3://"):
        place = s3_prefix(model.model_uri, "jobs.inference_predictions.model.model_uri")
        return places("Model", here, [place], ("s3:GetObject",))
    return []


def _feature_store(spec: FeatureStore, config: Config, here: Account) -> list[Statement]:
    names = spec.groups(config.project_name).values()
    groups = [arn for name in names for arn in here.named("feature-group", name, spec.region)]
    found = [allow("FeatureGroups", _RECORDS, groups)]
    if spec.offline_s3_prefix:
        found += places("Offline", here, [spec.offline_s3_prefix], _FILES)
    if spec.kms_key_id:
        found.append(key_use(spec.kms_key_id, here, spec.region))
    return found


def key_use(said: str, here: Account, region: str | None) -> Statement:
    """Use of a key of KMS, which may be said by its ARN, its id or its alias."""
    actions = ("kms:Decrypt", "kms:GenerateDataKey")
    alias = said.rpartition(":")[2]
    if alias.startswith("alias/"):
        named = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": alias}}
        return allow("Key", actions, [here.arn("kms", "key/*", region)], **named)
    return allow("Key", actions, [said if said.startswith("arn:") else here.arn("kms", f"key/{said}", region)])


def _redshift(what: str, access: RedshiftAccess, here: Account) -> list[Statement]:
    """Statements on one database, and the answers to those that the job itself has sent.

    AWS knows no resources for describing a statement; who may do it is told by the owner of the statement.
    """
    if access.cluster_identifier:
        place = here.arn("redshift", f"cluster:{access.cluster_identifier}", access.region)
    else:
        name = str(access.workgroup_name)
        known = here.workgroups.get(name, f"${{{workgroup_parameter(name)}}}")
        place = here.arn("redshift-serverless", f"workgroup/{known}", access.region)
    asked = ("redshift-data:DescribeStatement", "redshift-data:GetStatementResult", "redshift-data:CancelStatement")
    return [
        allow(f"{what}Sql", ("redshift-data:ExecuteStatement", "redshift-data:BatchExecuteStatement"), [place]),
        allow(f"{what}SqlAnswers", asked, ["*"],
               StringEquals={"redshift-data:statement-owner-iam-userid": "${aws:userid}"}),
        _login(f"{what}SqlLogin", access, here, place),
    ]  # fmt: skip


def _login(sid: str, access: RedshiftAccess, here: Account, place: str) -> Statement:
    if access.secret_arn:
        return allow(sid, ("secretsmanager:GetSecretValue",), [access.secret_arn])
    if access.workgroup_name:
        return allow(sid, ("redshift-serverless:GetCredentials",), [place])
    database = here.arn("redshift", f"dbname:{access.cluster_identifier}/{access.database}", access.region)
    if not access.db_user:
        return allow(sid, ("redshift:GetClusterCredentialsWithIAM",), [database])
    user = here.arn("redshift", f"dbuser:{access.cluster_identifier}/{access.db_user}", access.region)
    return allow(sid, ("redshift:GetClusterCredentials",), [user, database])
