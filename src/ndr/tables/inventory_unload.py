"""What job ``machine_inventory_unload`` is told: where the machines are known, and which of them count."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ndr.sql import redshift_condition, redshift_select
from ndr.tables.destinations import Identifier, RedshiftAccess
from ndr.tables.settings import Inert, S3Prefix, Spec, inert

Select = Annotated[str, Field(max_length=20_000), AfterValidator(redshift_select)]
"""One SELECT, written anew from what was understood of it."""
Condition = Annotated[str, Field(max_length=2_000), AfterValidator(redshift_condition)]
"""One condition on rows, written anew from what was understood of it."""


def _upper(said: Any) -> Any:
    return said.upper() if isinstance(said, str) else said


def _several(said: Any) -> Any:
    """Names in a list; a text may hold several between commas."""
    return tuple(filter(None, map(str.strip, said.split(",")))) if isinstance(said, str) else said


Folded = Annotated[Identifier, AfterValidator(str.lower)]
"""A name as Redshift gives it to columns of files: in lower case."""


class InventoryQuery(Spec):
    """Which rows name machines: a table or one SELECT, whose rows all filters must hold for."""

    sql: Select | None = None
    schema_name: Identifier | None = Field(default=None, alias="schema")
    table: Identifier | None = None
    ip_column: Identifier = "ip_address"
    name_column: Identifier = "machine_name"
    active_filter: Condition | None = None
    additional_filters: Annotated[tuple[Condition, ...], Field(max_length=20)] = ()

    @model_validator(mode="after")
    def _one_source(self) -> InventoryQuery:
        if bool(self.sql) == bool(self.table) or bool(self.table) != bool(self.schema_name):
            raise ValueError("give sql, or schema and table, one of them")
        if self.ip_column.lower() == self.name_column.lower():
            raise ValueError("ip_column and name_column are the same")
        return self


class InventoryOutput(Spec):
    """Where the snapshots of months go."""

    s3_prefix: S3Prefix
    output_format: Annotated[Literal["PARQUET"], BeforeValidator(_upper)] = "PARQUET"
    partitioning: Annotated[tuple[str, ...], BeforeValidator(_several)] = ("snapshot_month",)
    ip_output_column: Folded = "ip_address"
    name_output_column: Folded = "machine_name"

    @model_validator(mode="after")
    def _by_month(self) -> InventoryOutput:
        if self.ip_output_column == self.name_output_column:
            raise ValueError("ip_output_column and name_output_column are the same")
        if "snapshot_month" not in self.partitioning:
            raise ValueError("partitioning must contain snapshot_month")
        return self


class InventoryUnload(Spec):
    """Job ``machine_inventory_unload``."""

    redshift: RedshiftAccess
    query: InventoryQuery
    output: InventoryOutput
    processing_image_uri: Inert = inert("the image is a parameter of the pipeline")
