"""What job ``feature_store_ingest`` is told: which tables go to which feature groups, and how fast."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ndr.tables.destinations import Region
from ndr.tables.settings import TRANSPORT, S3Prefix, Spec

GroupName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-_]*[A-Za-z0-9]){0,63}$")]


class FeatureStore(Spec):
    """Job ``feature_store_ingest``."""

    feature_groups: dict[Literal["fg_a", "fg_c", "predictions"], GroupName] = Field(
        default_factory=dict, description="table -> feature group; else ndr-<project>-<table>"
    )
    stores: tuple[Literal["online", "offline"], ...] = Field(default=("online",), min_length=1)
    offline_s3_prefix: S3Prefix | None = Field(default=None, description="where the offline store lies")
    region: Region | None = None
    max_workers: int = Field(default=16, ge=1, le=256, json_schema_extra=TRANSPORT)
    records_per_second: float = Field(default=500.0, gt=0, le=100_000, json_schema_extra=TRANSPORT)
    max_retries: int = Field(default=8, ge=0, le=20, json_schema_extra=TRANSPORT)
    backoff_seconds: float = Field(default=0.2, ge=0, le=60, json_schema_extra=TRANSPORT)
