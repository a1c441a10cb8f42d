"""Other systems that tables go to, and how they are reached: parts of the specs of several jobs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from ndr.tables.settings import PLACE, Inert, S3Prefix, Spec, inert

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,126}$")]
"""A name in SQL that needs no quotes."""
Region = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]


class RedshiftAccess(Spec):
    """A database of Redshift, as its Data API is asked for it."""

    cluster_identifier: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9-]{0,62}$")
    workgroup_name: str | None = Field(default=None, pattern=r"^[a-z0-9-]{3,64}$", description="of Redshift Serverless")
    database: str = Field(pattern=r"^[A-Za-z0-9_-]{1,127}$")
    secret_arn: str | None = Field(
        default=None,
        max_length=300,
        pattern=r"^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:[A-Za-z0-9_/+=.@-]+$",
    )
    db_user: str | None = Field(
        default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_.@+-]{0,127}$", description="without a secret"
    )
    region: Region | None = None
    iam_role: str = Field(
        max_length=600,
        pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/[A-Za-z0-9_+=,.@/-]+$",
        description="that reads and writes S3",
    )

    @model_validator(mode="after")
    def _one_place(self) -> RedshiftAccess:
        if bool(self.cluster_identifier) == bool(self.workgroup_name):
            raise ValueError("name a cluster_identifier or a workgroup_name, one of them")
        return self


class RedshiftTable(RedshiftAccess):
    """A table of Redshift that joined predictions are copied to."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    in_schema: Identifier = Field(alias="schema")
    table: Identifier
    pre_sql: str | None = None
    post_sql: str | None = None
    copy_options: str | None = None


class IcebergTable(Spec):
    """A table of Iceberg; how its catalog is reached is configured as for all of PyIceberg."""

    catalog: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    table: str = Field(pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)+$", description="namespace.table")


class S3Place(Spec):
    """A prefix that Parquet goes to."""

    s3_prefix: S3Prefix
    format: Literal["parquet", "PARQUET"] = "parquet"
    partition_keys: Inert = inert(PLACE)
    write_mode: Inert = inert("a batch always replaces what it wrote before")
