"""Rows of FG-A made up to be awkward to compare: habits that never change, nulls, groups of one, strangers.

Like the sessions of ``strategies`` they are drawn from hypothesis or from a seeded ``random.Random``; both choose from
the same few hosts, bands and moments, so that groups meet and the edges of horizons are hit exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from ndr.metrics import BY_NAME
from oracle_baselines import DAY, QUARTER, BaselineConfig, Measure, Row

Pick = Callable[[Sequence[Any]], Any]

APRIL = datetime(2026, 4, 1)
HOSTS = {
    "10.1.1.1": "office", "10.1.1.2": "office", "10.1.1.3": "office",
    "10.1.2.1": "servers", "10.1.2.2": "servers", "fd00::7": "lab",
}  # fmt: skip
STRANGERS = {"10.1.1.99": "office", "10.9.9.9": "10.9.9.0/24", "10.1.2.99": "servers"}
"""Hosts that no baseline knows: of a known segment and of one that nobody was in before."""
ONLY_INBOUND = "10.1.2.2"
PEERS = ("203.0.113.5", "10.1.2.1", "2001:db8::5", "198.51.100.7")
PORTS = (443, 443, 22, None)
BANDS = ("WD_WORKING", "WD_WORKING", "WE_NIGHT")
WINDOWS = ("w_15m", "w_1h")

COUNTS = ((0,), (3,), (0, 0, 0, 1), (1, 2, 3, 4, 5, 100), (0, 1_000_000), (2, 4), (7, 8, 9))
AMOUNTS = (*COUNTS, (None,), (1500,), (None, 0, 1500, 70_000, 10**12), (None, 0))
TENTH, FIFTH, THIRD, SEVEN_TENTHS = (round(share * 2**40) / 2**40 for share in (0.1, 0.2, 1 / 3, 0.7))
"""As FG-A stores them: no float has more than 50 leading binary digits."""
SHARES = (
    (None,), (TENTH,), (0.0, 1.0), (TENTH, FIFTH, THIRD, SEVEN_TENTHS), (THIRD, None, 1.0), (THIRD,), (0.5, 0.25)
)  # fmt: skip
WILD = {"count": (0, 1, 500, 10**9), "amount": (None, 0, 10**12), "share": (None, 0.0, 1.0, 40.0)}


def _weight(kind: str, role: str) -> float:
    return (1.0 if kind == "count" else 0.5) / (1 if role == "outbound" else 2)


def measures(names: Iterable[str]) -> dict[str, Measure]:
    """The metrics in both roles, as they are declared."""
    declared = [BY_NAME[name] for name in names]
    return {
        metric.column(role): Measure(
            metric.floor, frozenset(metric.themes), role == "outbound", _weight(metric.kind, role)
        )
        for role in ("outbound", "inbound")
        for metric in declared
    }


def both_roles(values: dict[str, int]) -> dict[str, int]:
    return {prefix + name: value for prefix in ("", "in_") for name, value in values.items()}


FEW = ("sessions_cnt", "bytes_src_sum", "failed_cnt", "deny_ratio")
THEMES = (
    "sessions_cnt", "bytes_src_sum", "bytes_asymmetry_ratio", "peer_ip_top1_bytes_share", "failed_cnt",
    "new_peer_cnt_lookback30d", "admin_port_sessions_cnt", "peer_segment_nunique",
)  # fmt: skip
PLAIN = BaselineConfig(
    measures(FEW),
    key_metrics=("sessions_cnt", "bytes_src_sum"),
    required=("sessions_cnt",),
    support_min=both_roles({"sessions_cnt": 3, "bytes_src_sum": 2, "failed_cnt": 4, "deny_ratio": 2}),
    capping_z_max=20.0,
    prefixes=("vdi-", "Citrix"),
)
CONFIGS = (
    PLAIN,
    BaselineConfig(
        measures(THEMES),
        key_metrics=("failed_cnt",),
        required=("sessions_cnt", "peer_segment_nunique"),
        support_min=both_roles(dict.fromkeys(THEMES, 2)),
        capping_z_max=1.0,
        z_max=3.0,
        rarity_threshold=0.5,
        band_share_min=0.5,
        prefixes=("VDI",),
    ),
    replace(PLAIN, support_min=both_roles(dict.fromkeys(FEW, 1)), key_metrics=(), tails={"7d": 0, "30d": 3}),
)
PUBLICATIONS: tuple[tuple[tuple[datetime, bool, tuple[str, ...]], ...], ...] = (
    ((APRIL, False, ("7d", "30d")),),
    ((APRIL, False, ("7d",)),),
    ((APRIL - 5 * DAY, False, ("7d", "30d")), (APRIL, False, ("7d", "30d"))),
    ((APRIL - 5 * DAY, True, ("7d", "30d")), (APRIL, False, ("30d",))),
    ((APRIL + 6 * DAY, True, ("7d", "30d")),),
    ((APRIL - 9 * DAY, True, ("7d", "30d")), (APRIL - DAY, True, ("7d", "30d"))),
    ((APRIL + 6 * DAY, False, ("7d", "30d")),),
    (),
)
"""Reference, whether provisional, horizons: alone, several, only later ones, none."""
ENDS = (APRIL - QUARTER, APRIL, APRIL + QUARTER, APRIL + timedelta(hours=10, minutes=15))
SCORES = (0.0, 0.25, 0.5, 0.8, 1.0)


@dataclass(frozen=True)
class Case:
    """What is known of a small network: behaviour before and now, pairs by day and now, machines, beacons."""

    past: list[Row]
    now: list[Row]
    publications: tuple[tuple[datetime, bool, tuple[str, ...]], ...]
    days: list[Row] = field(default_factory=list)
    machines: list[Row] = field(default_factory=list)
    pair_counts: list[Row] = field(default_factory=list)
    beacons: list[Row] = field(default_factory=list)
    slow_beacons: list[Row] = field(default_factory=list)

    @property
    def ends(self) -> list[datetime]:
        return sorted({row["window_end_ts"] for row in self.now})


def behaviour(host: str, segment: str, window: str, end: datetime, band: str, values: Row) -> Row:
    """A row of FG-A; what is not said is null."""
    return {
        "record_id": f"{host}|{window}|{end.isoformat()}Z", "host_ip": host, "window_label": window,
        "window_end_ts": end, "segment_id": segment, "time_band": band, **values,
    }  # fmt: skip


def _kind(metric: str) -> str:
    name = metric.removeprefix("in_")
    return "amount" if name.startswith("bytes_s") or name == "bytes_dst_sum" else BY_NAME[name].kind


def _habits(pick: Pick, config: BaselineConfig, hosts: Iterable[str]) -> dict[tuple[str, str], Sequence[Any]]:
    """What each host usually says of each metric."""
    pools = {"count": COUNTS, "amount": AMOUNTS, "share": SHARES}
    usual = {(host, m): pick(pools[_kind(m)]) for host in hosts for m in config.metrics}
    for m in config.metrics:
        if not m.startswith("in_"):
            usual[ONLY_INBOUND, m] = {"count": (0,), "amount": (0,), "share": (None,)}[_kind(m)]
    return usual


def _past_end(pick: Pick, config: BaselineConfig, references: Sequence[datetime]) -> datetime:
    """Mostly well inside the short horizon, else at an edge of one or in a gap."""
    reference: datetime = pick(references)
    long = config.tails["30d"] + 30
    if pick(range(4)):
        return reference - (config.tails["7d"] + pick((1, 1, 2, 6))) * DAY + pick(range(1, 9)) * QUARTER
    edges = [n * DAY for n in (config.tails["7d"], config.tails["7d"] + 7, config.tails["30d"], long, 1, long + 1, 20)]
    edge: timedelta = pick(edges)
    return reference - edge + pick((timedelta(0), QUARTER))


def _pair_days(pick: Pick, config: BaselineConfig, references: Sequence[datetime], n: int) -> list[Row]:
    found: dict[Any, Row] = {}
    for _ in range(n):
        source, peer, port = pick(tuple(HOSTS)), pick(PEERS), pick(PORTS)
        day = pick(references) - pick((1, *(config.tails["7d"] + k for k in (0, 1, 2, 7, 8)), 15, 33, 37, 38)) * DAY
        known = day + pick((1, 1, 1, 2, 12)) * DAY
        found[source, peer, port, day, known] = {
            "src_ip": source, "dst_ip": peer, "dst_port": port, "day_start_ts": day, "known_ts": known,
            "sessions_cnt": pick((1, 1, 2, 3, 7)), "last_event_start": day + pick((0, 5, 23)) * timedelta(hours=1),
            "src_is_host": True, "dst_is_host": peer.startswith("10."), "src_segment_id": HOSTS[source],
            "dst_segment_id": "somewhere",
        }  # fmt: skip
    return list(found.values())


def _pair_counts(pick: Pick, ends: Sequence[datetime], n: int) -> list[Row]:
    found: dict[Any, Row] = {}
    segments = HOSTS | STRANGERS
    for _ in range(n):
        source, peer, port, end = pick(tuple(segments)), pick(PEERS), pick(PORTS), pick(ends)
        start = end - pick((0, 1, 1, 1, 2, 4, 5)) * QUARTER
        known = start + pick((1, 1, 1, 2, 5)) * QUARTER
        found[source, peer, port, start, known] = {
            "src_ip": source, "dst_ip": peer, "dst_port": port, "slice_start_ts": start, "batch_end_ts": known,
            "mini_batch_id": f"until {known}", "sessions_cnt": pick((1, 2)), "src_is_host": True, "dst_is_host": False,
            "src_segment_id": segments[source], "dst_segment_id": "somewhere", "first_event_start": start,
            "last_event_start": start,
        }  # fmt: skip
    return list(found.values())


def _beacons(pick: Pick, ends: Sequence[datetime], step: timedelta, n: int) -> list[Row]:
    found: dict[Any, Row] = {}
    for _ in range(n):
        end: datetime = pick(ends)
        scored = end - (end - datetime(1970, 1, 1)) % step - pick((0, 0, 0, 1)) * step
        source, peer, port = pick(("10.1.1.1", "10.1.2.1", "10.1.1.99")), pick((*PEERS, "239.1.2.3")), pick(PORTS)
        found[source, peer, port, scored] = {
            "src_ip": source, "dst_ip": peer, "dst_port": port, "beacon_end_ts": scored, "connections_cnt": 9,
            "interval_median_seconds": pick((60.0, 3600.5)), "interval_regularity": pick(SCORES),
            "interval_skew_score": pick(SCORES), "coverage_score": pick(SCORES),
            "size_regularity": pick((None, 0.5)) if step < DAY else None,
            "prevalence_share": pick((0.0, 0.1, 0.5, 1.0)), "beacon_score": pick(SCORES),
        }  # fmt: skip
    return list(found.values())


def random_case(pick: Pick, config: BaselineConfig, size: int = 60) -> Case:
    """A case of about ``size`` rows of the past."""
    publications = pick(PUBLICATIONS)
    references = [reference for reference, _, _ in publications] or [APRIL]
    everybody = HOSTS | STRANGERS
    usual = _habits(pick, config, everybody)
    known = pick((tuple(HOSTS), ("10.1.1.1", "10.1.1.2", "10.1.2.1"), ("10.1.1.1", ONLY_INBOUND), ("fd00::7",)))

    def values(host: str, odd: int) -> Row:
        return {
            m: pick(WILD[_kind(m)]) if odd and not pick(range(odd)) else pick(usual[host, m]) for m in config.metrics
        }

    past: dict[Any, Row] = {}
    for _ in range(size):
        host, window = pick(known), pick(WINDOWS)
        end, moved = _past_end(pick, config, references), not pick(range(20))
        segment = "servers" if moved else HOSTS[host]
        past[host, window, end] = behaviour(host, segment, window, end, pick(BANDS), values(host, 30))
    ends = sorted({pick(ENDS) for _ in range(3)})
    now: dict[Any, Row] = {}
    for host, segment in everybody.items():
        for window in WINDOWS:
            for end in ends:
                if pick(range(3)):
                    band = pick((*BANDS, "WD_OFF"))
                    now[host, window, end] = behaviour(host, segment, window, end, band, values(host, 6))
    return Case(
        list(past.values()), list(now.values()), publications,
        days=_pair_days(pick, config, references, size), machines=_machines(pick),
        pair_counts=_pair_counts(pick, ends, 40), beacons=_beacons(pick, ends, 4 * QUARTER, 6),
        slow_beacons=_beacons(pick, ends, DAY, 4),
    )  # fmt: skip


def _machines(pick: Pick) -> list[Row]:
    """Some hosts have a name, some in an inventory that is too late, some had another before."""
    return [
        {"ip_address": host, "machine_name": pick(("VDI-7", "citrix3", "pc-1", "my-vdi-", "vdi")), "active": True,
         "snapshot_month": month}
        for host in ("10.1.1.1", "10.1.1.2", "10.1.2.1")
        for month in ("2026-02", "2026-03", "2026-05")
        if not pick(range(3))
    ]  # fmt: skip
