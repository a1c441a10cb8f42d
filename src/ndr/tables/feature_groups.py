"""What job ``feature_store_ingest`` is told: which tables go to which feature groups, and how fast."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ndr.errors import SpecError, shown
from ndr.tables.destinations import Region
from ndr.tables.settings import TRANSPORT, S3Prefix, Spec

GROUP_NAME = r"^[A-Za-z0-9]([-_]*[A-Za-z0-9]){0,63}$"
GroupName = Annotated[str, Field(pattern=GROUP_NAME, max_length=64)]
STORED = ("fg_a", "fg_c", "predictions")
"""The tables whose rows can be records."""


class FeatureStore(Spec):
    """Job ``feature_store_ingest``."""

    feature_groups: dict[Literal["fg_a", "fg_c", "predictions"], GroupName] = Field(
        default_factory=dict,
        description="table -> feature group, of the tables that are sent; else all three, to ndr-<project>-<table>",
    )
    stores: tuple[Literal["online", "offline"], ...] = Field(default=("online",), min_length=1)
    offline_s3_prefix: S3Prefix | None = Field(default=None, description="where the offline store lies")
    region: Region | None = None
    role_arn: str | None = Field(
        default=None,
        max_length=600,
        pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/[A-Za-z0-9_+=,.@/-]+$",
        description="that Feature Store writes the offline store with; else that of pipeline_defaults",
    )
    kms_key_id: str | None = Field(
        default=None, max_length=600, pattern=r"^[A-Za-z0-9:/_-]+$", description="key of both stores; else AWS's own"
    )
    ttl_days: int | None = Field(
        default=None, ge=1, le=36_500, description="how long the online store keeps a record after its event time"
    )
    max_workers: int = Field(default=16, ge=1, le=256, json_schema_extra=TRANSPORT)
    records_per_call: int = Field(
        default=1, ge=1, le=25, description="1 for PutRecord, more for BatchWriteRecord", json_schema_extra=TRANSPORT
    )
    records_per_second: float = Field(default=500.0, gt=0, le=100_000, json_schema_extra=TRANSPORT)
    max_retries: int = Field(default=8, ge=0, le=20, json_schema_extra=TRANSPORT)
    backoff_seconds: float = Field(default=0.2, ge=0, le=60, json_schema_extra=TRANSPORT)

    @model_validator(mode="after")
    def _placed(self) -> FeatureStore:
        if "offline" in self.stores and not self.offline_s3_prefix:
            raise ValueError("stores has offline, and there is no offline_s3_prefix that says where it lies")
        return self

    def groups(self, project: str) -> dict[str, str]:
        """Table -> its feature group, of every table that is sent.

        Raises:
            SpecError: a name that follows from the project cannot be a feature group's.
        """
        return {table: self.group_of(project, table) for table in self.feature_groups or STORED}

    def group_of(self, project: str, table: str) -> str:
        """The feature group of a table, whether it is among those that are sent or not.

        Raises:
            SpecError: the name follows from the project and cannot be a feature group's.
        """
        said = {str(name): group for name, group in self.feature_groups.items()}.get(table)
        group = said or f"ndr-{project}-{table}"
        if not re.fullmatch(GROUP_NAME, group) or len(group) > 64:  # noqa: PLR2004 - as in GroupName
            raise SpecError(
                f"jobs.feature_store_ingest.feature_groups.{table}: {shown(group, 100)!r} cannot be the name of a "
                "feature group (letters, digits, - and _, at most 64); write one there."
            )
        return group
