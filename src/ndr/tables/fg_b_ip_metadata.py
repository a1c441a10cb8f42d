"""FG-B, IP metadata: which hosts have a past of their own to be compared with."""

from __future__ import annotations

import ibis.expr.types as ir

from ndr.features.hosts import host_flags
from ndr.table import table
from ndr.tables.fg_b import PARTITIONS, PUBLISHED, REFERENCE, Baselines, stamped
from ndr.tables.fg_b_host import fg_b_host as fg_b_host_table
from ndr.tables.machines import machines as machines_table
from ndr.tables.settings import Settings
from ndr.time import DAY


@table(
    keys=("host_ip", "window_label", *PARTITIONS),
    columns={
        "host_ip": "string",
        "window_label": "string",
        **PUBLISHED,
        "machine_name": "string",
        **dict.fromkeys(("is_full_history", "is_non_persistent_machine", "is_cold_start"), "int32"),
    },
    every=DAY,
    at="reference_time",
    reads={
        "fg_b_host": fg_b_host_table.now(needed=True),
        "machines": machines_table.always(),
        "reference": REFERENCE,
    },
    spec=Baselines,
    settings=("non_persistent_prefixes",),
    partitions=PARTITIONS,
    job="fg_b_builder",
    published=True,
    folder="fg_b/ip_metadata",
)
def fg_b_ip_metadata(
    fg_b_host: ir.Table, machines: ir.Table, reference: ir.Table, *, spec: Baselines, settings: Settings, version: str
) -> ir.Table:
    """One row per host and window of the horizon: whether it can be compared with its own past.

    - ``is_full_history`` is 1 when every required metric has enough slices with a value, summed over the time bands.
    - ``machine_name`` is its name by the latest inventory not after the reference time; null when none knows it.
    - ``is_non_persistent_machine`` is 1 when the name begins, whatever its case, with a configured prefix: such an
      address is another machine every day. A host without a name is taken to stay.
    - ``is_cold_start`` is 1 without full history or for a non-persistent machine. So is a host without a row here.
    """
    prefixes = (*spec.non_persistent_machine_prefixes, *settings.non_persistent_prefixes)
    found = host_flags(fg_b_host, machines, spec.required_support(), prefixes)
    return stamped(found, reference, version)
