"""Hosts: which have a past of their own to be compared with, and which only look as if they had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ibis
import ibis.expr.types as ir

from ndr.metric import statistic


def machine_names(machines: ir.Table) -> ir.Table:
    """One row per address: its name in the latest snapshot that knows it; of several names, the one that sorts last."""
    ranked = machines.select(
        "ip_address", latest=ibis.struct({"month": machines.snapshot_month, "name": machines.machine_name})
    )
    found = ranked.group_by("ip_address").agg(latest=ranked.latest.max())
    return found.select(host_ip=found.ip_address, machine_name=found.latest["name"])


def host_flags(
    baselines: ir.Table, machines: ir.Table, required: Mapping[str, int], prefixes: Sequence[str]
) -> ir.Table:
    """One row per host and window: whether it has full history, keeps its address, and so is warm or cold.

    A host without a known name is taken to keep its address.
    """
    support = {f"n_{c}": baselines[statistic(c, "support_count")].sum().cast("int64") for c in required}
    summed = baselines.group_by(["host_ip", "window_label"]).agg(**support)
    named = summed.left_join(machine_names(machines), "host_ip")
    full = ibis.and_(*(named[f"n_{c}"] >= enough for c, enough in required.items()))
    name = named.machine_name.lower()
    passing = ibis.or_(*(name.startswith(prefix.lower()) for prefix in prefixes)) if prefixes else ibis.literal(False)  # noqa: FBT003
    flagged = named.select(
        "host_ip",
        "window_label",
        "machine_name",
        is_full_history=full.cast("int32"),
        is_non_persistent_machine=passing.fill_null(False).cast("int32"),  # noqa: FBT003
    )
    cold = (flagged.is_full_history == 0) | (flagged.is_non_persistent_machine == 1)
    return flagged.mutate(is_cold_start=cold.cast("int32"))
