"""Other systems that tables go to, and how they are reached: parts of the specs of several jobs."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from ndr.errors import shown
from ndr.sql import redshift_statements
from ndr.tables.settings import PLACE, Inert, S3Prefix, Spec, inert

_OPTIONS = {
    r"format(\s+as)?\s+parquet|parquet|serializetojson": None,
    r"fillrecord": "FILLRECORD",
    r"explicit_ids": None,
    r"acceptinvchars(\s+as)?(\s+'[ -&(-\[\]-~]')?": "ACCEPTINVCHARS",
    r"statupdate(\s+(on|true))?": "STATUPDATE ON",
    r"statupdate\s+(off|false)": "STATUPDATE OFF",
    r"compupdate(\s+(on|off|true|false|preset))?|comprows\s+\d+|truncatecolumns|emptyasnull|blanksasnull": None,
    r"(acceptanydate|trimblanks|roundec|ignoreheader\s+\d+|maxerror(\s+as)?\s+\d+)": None,
    r"(timeformat|dateformat)(\s+as)?\s+'[A-Za-z0-9 :./-]*'|(region)(\s+as)?\s+'[a-z0-9-]*'": None,
}
"""Options of COPY as regular expressions -> how they are passed on; None for those that Parquet is loaded without."""


def parquet_options(text: str | None) -> str:
    """What of the options of a COPY says something about Parquet; those about text and compression are left out.

    >>> parquet_options("FORMAT AS PARQUET COMPUPDATE OFF statupdate off")
    'STATUPDATE OFF'

    Raises:
        ValueError: there is something else in it.
    """
    rest = (text or "").strip()
    kept: list[str] = []
    while rest:
        found = {known.end(): to for option, to in _OPTIONS.items() if (known := _option(option).match(rest))}
        if not found:
            raise ValueError(f"{shown(rest)!r} is no option of COPY that says something about loading Parquet")
        longest = max(found)
        kept += filter(None, [found[longest]])
        rest = rest[longest:].strip()
    return " ".join(dict.fromkeys(kept))


def _option(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"({pattern})(?=\s|$)", re.IGNORECASE | re.ASCII)


def _options(text: str) -> str:
    parquet_options(text)
    return text


def _statements(text: str) -> str:
    redshift_statements(text)
    return text


Statements = Annotated[str, Field(max_length=20_000), AfterValidator(_statements)]
"""SQL that runs in the transaction of a load."""
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
    pre_sql: Statements | None = Field(default=None, description="before the rows are replaced, as one with it")
    post_sql: Statements | None = Field(default=None, description="after the rows are replaced, as one with it")
    copy_options: Annotated[str, Field(max_length=500), AfterValidator(_options)] | None = Field(
        default=None, description="of those about Parquet; options about text files and compression do nothing"
    )


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
