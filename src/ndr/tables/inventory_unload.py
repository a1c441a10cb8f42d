"""What job ``machine_inventory_unload`` is told: where the machines are known, and which of them count."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ndr.tables.destinations import Identifier, RedshiftAccess
from ndr.tables.settings import Inert, S3Prefix, Spec, inert


class InventoryQuery(Spec):
    """Which rows name machines: a table with its filters, or one SELECT."""

    sql: str | None = Field(default=None, max_length=20_000)
    schema_name: Identifier | None = Field(default=None, alias="schema")
    table: Identifier | None = None
    ip_column: Identifier = "ip_address"
    name_column: Identifier = "machine_name"
    active_filter: str | None = Field(default=None, max_length=2_000)
    additional_filters: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_source(self) -> InventoryQuery:
        if bool(self.sql) == bool(self.table and self.schema_name):
            raise ValueError("give sql, or schema and table, one of them")
        return self


class InventoryOutput(Spec):
    """Where the snapshots of months go."""

    s3_prefix: S3Prefix
    output_format: Literal["PARQUET"] = "PARQUET"
    partitioning: tuple[str, ...] = ("snapshot_month",)
    ip_output_column: Identifier = "ip_address"
    name_output_column: Identifier = "machine_name"

    @model_validator(mode="after")
    def _by_month(self) -> InventoryOutput:
        if "snapshot_month" not in self.partitioning:
            raise ValueError("partitioning must contain snapshot_month")
        return self


class InventoryUnload(Spec):
    """Job ``machine_inventory_unload``."""

    redshift: RedshiftAccess
    query: InventoryQuery
    output: InventoryOutput
    processing_image_uri: Inert = inert("the image is a parameter of the pipeline")
