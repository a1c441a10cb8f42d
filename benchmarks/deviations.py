"""FG-C of one quarter hour of 10,000 hosts against the baselines of two horizons, read from disk.

The baselines are made up, but as large as real ones: every host in every part of the week and window, every pair of the
last day and as many that were not met in it. The floor reads the columns that FG-C needs, of the rows that it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import duckdb

from benchmarks.behaviour import behave
from benchmarks.data import HOST_IP, SEGMENT_ID, Traffic
from benchmarks.lakes import MEMORY_LIMIT, Ground
from benchmarks.measure import Cost, Line, alternate, cost, line
from benchmarks.settings import Setting, listed
from ndr.engine import Files
from ndr.table import PartKey
from ndr.tables import TABLES
from ndr.tables.fg_a import WINDOWS
from ndr.tables.fg_b import BANDS, COLUMNS
from ndr.time import DAY, SLICE, Interval, days

HOSTS, SESSIONS, BEACONS = 10_000, 2_000_000, 2_000
REFERENCE = datetime(2026, 3, 12)
NOON = datetime(2026, 3, 12, 12)
BAND = "WD_WORKING"
GOAL = 10
GIVEN = [name for name in TABLES if name != "fg_c"]
READ = ("median", "p25", "p75", "p95", "p99", "mad", "support_count", "cold_start_flag")
_LISTED = {
    "band": ", ".join(f"('{band}')" for band in BANDS),
    "window": ", ".join(f"('{label}')" for label in WINDOWS),
}
_WHO = f"""SELECT {HOST_IP} AS host_ip, {SEGMENT_ID} AS segment_id, time_band, window_label, host
  FROM range($hosts) AS hosts(host), (VALUES {_LISTED["band"]}) AS bands(time_band),
    (VALUES {_LISTED["window"]}) AS labels(window_label)"""  # noqa: S608 - constants of this program


def measured(setting: Setting) -> list[Line]:
    """The quarter hour before noon, again and again, from planning to the published file."""
    ground = Ground(setting.folder / "lake")
    hosts = setting.sized(HOSTS)
    fill(ground, setting.folder, hosts, setting.sized(SESSIONS))
    last = Interval(NOON - SLICE, NOON)
    wanted = _wanted()

    def subject(_: int) -> Cost:
        ground.forget(["fg_c"])
        return cost(lambda: ground.build(["fg_c"], last, given=GIVEN))

    floor, made = alternate(setting.runs, lambda _: cost(partial(scanned, ground, wanted)), subject)
    shop, engine = ground.watched(probing=True)
    ground.forget(["fg_c"])
    whole = cost(lambda: ground.build(["fg_c"], last, shop, GIVEN))
    ground.close()
    what = f"FG-C of one quarter hour, {hosts:,} hosts, 5 windows, 2 horizons"
    return [
        line("fg_c", "floor: reading the columns of FG-A, baselines and pairs that it needs", floor),
        line("fg_c", what, made, floor, seconds=GOAL),
        Line("fg_c", "… its query alone", engine.queries),
        Line("fg_c", "… query, sort and write", engine.writes),
        Line("fg_c", "… plan, publish, ledger", whole.seconds - engine.queries - engine.writes),
    ]


def scanned(ground: Ground, wanted: Mapping[str, str]) -> None:
    """Let DuckDB read what FG-C reads and look at every value."""
    with duckdb.connect(config={"memory_limit": MEMORY_LIMIT}) as con:
        for name, where in wanted.items():
            columns = ", ".join(f"max({c})" for c in _read(name))
            con.execute(f"SELECT {columns} FROM read_parquet({listed(ground.files(name))}) {where}").fetchall()  # noqa: S608 - our own files


def _wanted() -> dict[str, str]:
    tiers = dict.fromkeys(("fg_b_host", "fg_b_segment", "fg_b_global"), f"WHERE time_band = '{BAND}'")
    rest = ("fg_a", "fg_b_ip_metadata", "fg_b_pair_host", "fg_b_pair_segment", "pair_counts")
    return tiers | dict.fromkeys(rest, "")


def _read(name: str) -> list[str]:
    """The columns of a table that FG-C needs."""
    keys = [key for key in TABLES[name].keys if key not in TABLES[name].partitions]
    if name in {"fg_b_host", "fg_b_segment", "fg_b_global"}:
        return [*keys, *(f"{column}_{statistic}" for column in COLUMNS for statistic in READ)]
    if name == "fg_a":
        return [*keys, "segment_id", "time_band", *COLUMNS]
    return [*keys, *(("pair_rarity_score", "is_rare_pair_flag") if "pair" in name and "fg_b" in name else ())]


def fill(ground: Ground, folder: Path, hosts: int, sessions: int) -> None:
    """A day of pairs, a quarter hour of FG-A, and a publication of made-up baselines."""
    past = NOON - days(40)
    ground.take(Traffic(40 * 200, 10, past, DAY * 39).parquet(folder / "past.parquet"))
    day = Traffic(sessions, hosts, NOON - DAY, DAY)
    ground.take(day.parquet(folder / "day.parquet"))
    ground.build(["pair_counts"], Interval(NOON - DAY, NOON))
    ground.ledger.ask_publication(ground.shop.config.feature_spec_version, REFERENCE, provisional=False)
    behave(ground, hosts, Interval(NOON - SLICE, NOON))
    pairs = {"pairs": Files(TABLES["pair_counts"].columns, ground.files("pair_counts"))}
    for number, horizon in enumerate(("7d", "30d")):
        key = PartKey(REFERENCE, REFERENCE, horizon)
        for name, query in _baselines(hosts, number).items():
            ground.give(TABLES[name], query, pairs if "pair" in name else {}, {key: {}})
    for name, every in (("beacons", timedelta(hours=1)), ("slow_beacons", DAY)):
        end = NOON - (NOON - datetime(1970, 1, 1)) % every
        ground.give(TABLES[name], _beacons(name, end), pairs, {PartKey(end - every, end): {"beacon_end_ts": end}})


def _filled(name: str, known: Mapping[str, str], source: str) -> str:
    """SQL of a table's rows: what is known of its columns, the others null."""
    columns = TABLES[name].columns
    types = {
        "float64": "DOUBLE",
        "int64": "BIGINT",
        "int32": "INTEGER",
        "string": "VARCHAR",
        "timestamp(6)": "TIMESTAMP",
    }
    chosen = ", ".join(f"({known.get(c, 'NULL')})::{types[dtype]} AS {c}" for c, dtype in columns.items())
    return f"SELECT {chosen} FROM ({source}) AS source"  # noqa: S608 - constants of this file


def _baselines(hosts: int, number: int) -> dict[str, str]:
    """Queries of the tables of one horizon."""
    common = {"reference_time": f"TIMESTAMP '{REFERENCE}'", "slices_cnt": "200", "capped_cnt": "1", "hosts_cnt": "50"}
    who = _WHO.replace("$hosts", str(hosts))
    sources = {
        "fg_b_host": who,
        "fg_b_segment": f"SELECT DISTINCT segment_id, time_band, window_label, 0 AS host FROM ({who})",  # noqa: S608 - constants
        "fg_b_global": f"SELECT DISTINCT time_band, window_label, 1 AS host FROM ({who})",  # noqa: S608
    }  # fmt: skip
    found = {}
    for name, source in sources.items():
        keys = {c: c for c in ("host_ip", "segment_id", "time_band", "window_label") if c in TABLES[name].columns}
        known = {**common, **keys, "active_share": "0.9", **_statistics(number)}
        found[name] = _filled(name, known, source)
    flags = {"host_ip": "host_ip", "window_label": "window_label", "is_full_history": "1"}
    flags |= {"is_non_persistent_machine": "(host % 10 = 0)::INTEGER", "is_cold_start": "(host % 10 = 0)::INTEGER"}
    found["fg_b_ip_metadata"] = _filled("fg_b_ip_metadata", common | flags, f"{who} WHERE time_band = '{BAND}'")
    for name, own in (("fg_b_pair_host", "src_ip"), ("fg_b_pair_segment", "src_segment_id AS segment_id")):
        key = own.rpartition(" ")[2]
        seen = (
            f"SELECT DISTINCT {own}, dst_ip, dst_port + moved AS dst_port, hash(dst_ip, dst_port, moved) % 40 AS seen"
        )
        source = f"{seen} FROM pairs, (VALUES (0), (1)) AS places(moved) WHERE src_is_host AND hash(dst_ip) % 10 > 0"
        known = {c: c for c in (key, "dst_ip", "dst_port")} | {
            "pair_seen_count": "1 + seen",
            "active_days": "1 + seen % 7",
        }
        known |= {"pair_rarity_score": "1.0 / (2 + seen)", "is_rare_pair_flag": "(seen <= 2)::INTEGER"}
        found[name] = _filled(name, common | known, source)
    return found


def _statistics(number: int) -> dict[str, str]:
    """Nine statistics of every column: a median of host, band, window and horizon, the others beside it."""
    found: dict[str, str] = {}
    for place, (column, metric) in enumerate(COLUMNS.items()):
        size = 5 if metric.dtype == "int64" else 0
        median = (
            f"floor(exp({size} * (hash(host, time_band, window_label, {place}, {number}) % 1000) / 1000.0) * 64) / 64"
        )
        shares = {"median": 1, "p25": 0.75, "p75": 1.5, "p95": 2.5, "p99": 4, "mad": 0.25, "iqr": 0.75}
        found |= {f"{column}_{name}": f"{share} * {median}" for name, share in shares.items()}
        found |= {f"{column}_support_count": "200", f"{column}_cold_start_flag": "(host % 20 = 1)::INTEGER"}
    return found


def _beacons(name: str, end: datetime) -> str:
    """Query of some pairs that keep time."""
    source = "SELECT DISTINCT src_ip, dst_ip, dst_port FROM pairs WHERE src_is_host"
    few = f"SELECT *, hash(src_ip, dst_ip, dst_port) AS h FROM ({source}) ORDER BY h LIMIT {BEACONS}"  # noqa: S608 - constants
    scores = {c: "(h % 100) / 100.0" for c, dtype in TABLES[name].columns.items() if dtype == "float64"}
    keys = {c: c for c in ("src_ip", "dst_ip", "dst_port")}
    return _filled(name, scores | keys | {"beacon_end_ts": f"TIMESTAMP '{end}'", "connections_cnt": "50"}, few)
