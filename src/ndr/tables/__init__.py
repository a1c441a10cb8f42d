"""The tables: one declaration per file, in the order the data flows."""

from __future__ import annotations

from ndr.table import Table
from ndr.tables.beacons import beacons
from ndr.tables.delta import delta
from ndr.tables.fg_a import fg_a
from ndr.tables.fg_b_capping import fg_b_capping
from ndr.tables.fg_b_global import fg_b_global
from ndr.tables.fg_b_host import fg_b_host
from ndr.tables.fg_b_ip_metadata import fg_b_ip_metadata
from ndr.tables.fg_b_pair_host import fg_b_pair_host
from ndr.tables.fg_b_pair_segment import fg_b_pair_segment
from ndr.tables.fg_b_segment import fg_b_segment
from ndr.tables.fg_c import fg_c
from ndr.tables.machines import machines
from ndr.tables.pair_counts import pair_counts
from ndr.tables.pair_days import pair_days
from ndr.tables.pair_history import pair_history
from ndr.tables.prediction_feature_join import prediction_feature_join
from ndr.tables.predictions import predictions
from ndr.tables.sessions import sessions
from ndr.tables.slow_beacons import slow_beacons

TABLES: dict[str, Table] = {
    t.name: t
    for t in (
        machines, sessions, delta, pair_counts, pair_days, pair_history, fg_a, beacons, slow_beacons,
        fg_b_capping, fg_b_host, fg_b_segment, fg_b_global, fg_b_ip_metadata,
        fg_b_pair_host, fg_b_pair_segment, fg_c, predictions, prediction_feature_join,
    )
}  # fmt: skip
