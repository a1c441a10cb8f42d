"""The tables: one declaration per file, in the order the data flows."""

from __future__ import annotations

from ndr.table import Table
from ndr.tables.delta import delta
from ndr.tables.fg_a import fg_a
from ndr.tables.pair_counts import pair_counts
from ndr.tables.pair_days import pair_days
from ndr.tables.pair_history import pair_history
from ndr.tables.sessions import sessions

TABLES: dict[str, Table] = {t.name: t for t in (sessions, delta, pair_counts, pair_days, pair_history, fg_a)}
