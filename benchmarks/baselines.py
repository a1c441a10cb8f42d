"""FG-B of a week of 1,000 hosts, beside reading the same columns of FG-A; twice the hosts must take twice the time.

The floor reads every column that baselines are made of once, from the lake's own files, one for every quarter hour, and
adds it up; a second floor reads the same rows from one file in large row groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

import duckdb

from benchmarks.behaviour import behave
from benchmarks.data import Traffic
from benchmarks.lakes import MEMORY_LIMIT, Ground
from benchmarks.measure import Cost, Line, alternate, cost, line
from benchmarks.settings import Setting, listed
from ndr.publications import baselines_of
from ndr.tables.fg_b import COLUMNS
from ndr.time import DAY, Interval, days

HOSTS, DAYS = 1_000, 9
SHARES = (1.0, 0.5, 0.25)
REFERENCE = datetime(2026, 3, 12)
MADE = ("fg_b_capping", "fg_b_host", "fg_b_segment", "fg_b_global", "fg_b_ip_metadata")
GIVEN = ("sessions", "fg_a", "pair_days", "machines")
"""What the lake holds as it stands, made from no sessions."""
READ = ("host_ip", "segment_id", "time_band", "window_label", *COLUMNS)
SERIOUS = 0.1
"""Scale below which nothing is measured, only tried."""
GOAL = 20


def measured(setting: Setting) -> list[Line]:
    """The whole size beside both floors, and beside its half and quarter."""
    horizon, length, shares = ("7d", DAYS, SHARES) if setting.scale >= SERIOUS else ("1d", 3, SHARES[:1])
    grounds = [
        ground_of(setting.folder / f"lake-{s:g}", setting.sized(int(HOSTS * s)), length, horizon) for s in shares
    ]
    files = in_bounds(grounds[0])
    packed = setting.folder / "packed.parquet"
    with duckdb.connect() as con:
        con.read_parquet(files).write_parquet(str(packed), compression="zstd")
    floor, least, *made = alternate(
        setting.runs,
        lambda _: cost(partial(scanned, files)),
        lambda _: cost(partial(scanned, [str(packed)])),
        *(lambda _, ground=ground: published(ground) for ground in grounds),
    )
    hosts = [f"{setting.sized(int(HOSTS * share)):,} hosts" for share in shares]
    what = f"{hosts[0]}, {horizon[:-1]} days, 5 windows"
    lines = [
        line("fg_b", f"floor: {len(READ)} columns of FG-A, {what}", floor),
        line("fg_b", f"FG-B of {what}", made[0], floor, most=GOAL),
        line("fg_b", "… floor: the same rows in one file", least, floor),
        line("fg_b", "… the baselines beside the floor of one file", made[0], least),
        *(line("fg_b", f"… beside {n}", made[0], few) for n, few in zip(hosts[1:], made[1:], strict=True)),
        *_breakdown(grounds[0]),
    ]
    for ground in grounds:
        ground.close()
    return lines


def ground_of(root: Path, hosts: int, length: int, horizon: str, gap: int = 0) -> Ground:
    """A lake with the FG-A of some days, as many before the reference time, and just enough sessions to publish it."""
    ground = reopened(root, horizon)
    fill(ground, hosts, length, gap)
    return ground


def fill(ground: Ground, hosts: int, length: int, gap: int = 0) -> None:
    """Give a lake such days."""
    over = Interval(REFERENCE - days(length + gap), REFERENCE - days(gap))
    known = Traffic((length + gap + 1) * 200, 10, over.start, REFERENCE + DAY - over.start)
    ground.take(known.parquet(ground.root.with_suffix(".parquet")))
    ground.ledger.ask_publication(ground.shop.config.feature_spec_version, REFERENCE, provisional=False)
    behave(ground, hosts, over)


def reopened(root: Path, horizon: str, memory_limit: str = MEMORY_LIMIT) -> Ground:
    """Such a lake, to make the baselines of one horizon in."""
    return Ground(root, {"fg_b_builder": {"horizons": (horizon,)}}, memory_limit)


def published(ground: Ground) -> Cost:
    """Make the baselines of the reference time, and take them back."""
    made = cost(lambda: ground.build(MADE, Interval(REFERENCE, REFERENCE + DAY), given=GIVEN))
    ground.forget(MADE)
    return made


def scanned(files: list[str]) -> None:
    """Let DuckDB read the columns and add them up."""
    found = ", ".join(f"sum({c})" if c in COLUMNS else f"max({c})" for c in READ)
    with duckdb.connect(config={"memory_limit": MEMORY_LIMIT}) as con:
        con.execute(f"SELECT {found} FROM read_parquet({listed(files)})").fetchall()  # noqa: S608 - our own files


def in_bounds(ground: Ground) -> list[str]:
    """The files of the shortest horizon."""
    config = ground.shop.config
    spec = baselines_of(config)
    bounds = spec.publication(REFERENCE, spec.horizons, provisional=False).horizons[spec.horizons[0]]
    return [ground.lake.path(p.path) for p in ground.ledger.parts("fg_a", config.feature_spec_version, bounds)]


def _breakdown(ground: Ground) -> Iterator[Line]:
    """What each table takes, from one more run."""
    for name in MADE:
        spent = cost(lambda name=name: ground.build([name], Interval(REFERENCE, REFERENCE + DAY), given=GIVEN))  # type: ignore[misc]
        yield Line("fg_b", f"… {name}", spent.seconds, spent.cpu_seconds, spent.peak_bytes)
