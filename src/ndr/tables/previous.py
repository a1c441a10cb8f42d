"""Parts of specs as the previous platform has them: closed, so that a mistyped key is found, and without effect here.

What does have an effect where a lake lies on S3, such as the prefix of an output, is read from the job's values.
"""

from __future__ import annotations

from typing import Any

from ndr.tables.settings import Spec


class Place(Spec):
    """Where something is read or written, and how it lies there."""

    s3_prefix: str | None = None
    format: str | None = None
    compression: str | None = None
    layout: str | None = None
    dataset: str | None = None
    required: bool | None = None
    schema_projection: tuple[str, ...] | dict[str, Any] | None = None
    field_mapping: dict[str, str] | None = None
    partition_keys: tuple[str, ...] | None = None
    write_mode: str | None = None


class Quality(Spec):
    """Which records were dropped."""

    drop_malformed_ip: bool = True
    duration_non_negative: bool = True
    bytes_non_negative: bool = True
    filter_null_bytes_ports: bool = True
    emit_metrics: bool = True


class Enrichment(Spec):
    """What was added to records."""

    vdi_hostname_prefixes: tuple[str, ...] | None = None
    port_sets_location: str | None = None


class Role(Spec):
    """One of the two ways to look at a session."""

    name: str
    host_ip: str | None = None
    peer_ip: str | None = None
    bytes_sent: str | None = None
    bytes_recv: str | None = None
    peer_port: str | None = None


class Operator(Spec):
    """One way of counting."""

    type: str
    params: dict[str, Any] | None = None


class PairFilters(Spec):
    """Which sessions made pairs."""

    require_nonnull_ips: bool = True
    require_destination_port: bool = True


class PairUse(Spec):
    """Where pairs were read from, and which were rare."""

    enabled: bool | None = None
    s3_prefix: str | None = None
    rarity_threshold: float | None = None


class MachineNames(Spec):
    """Where machine names were read from."""

    s3_prefix_key: str | None = None
    ip_column: str | None = None
    machine_name_column: str | None = None
