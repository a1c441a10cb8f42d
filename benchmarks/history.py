"""What a batch costs with more history behind it: doubling the history must not be felt.

One lake of 62 days is filled; the shorter histories are its last days in lakes of their own. Then every lake takes the
same quarter hour in turn, again and again: import, plan, build, and it is taken back.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from statistics import median

from benchmarks.data import Traffic
from benchmarks.lakes import Ground
from benchmarks.measure import Cost, Line, alternate, cost, line
from benchmarks.settings import NOON, Setting
from ndr.cli.lakes import LEDGER
from ndr.ledger import Unit
from ndr.news import BEHAVIOUR, build_features, build_scores, plan_deviations, plan_everywhere
from ndr.run import sweep
from ndr.table import PartKey
from ndr.tables import TABLES
from ndr.time import DAY, SLICE, Interval

LENGTHS = (1, 2, 4, 8, 31, 62)
PAIRS = ((1, 2), (4, 8), (31, 62))
HOSTS, SESSIONS_A_DAY = 20, 4_000
BATCH = 2_000
WHOLE_DAYS, BUSY_HOURS = 3, timedelta(hours=8)
"""Longer ago the network is busy for some hours of the day only, so that the lake is filled in a minute."""
AFFECTED = Interval(NOON, NOON + timedelta(days=31))
"""Where the batch can change anything, as far as a run knows."""
GOAL = 1.05


def measured(setting: Setting) -> list[Line]:
    """Medians of a batch, and of its planning alone, in lakes of growing history."""
    lengths = LENGTHS if setting.scale >= 1 else LENGTHS[:2]
    batch = Traffic(setting.sized(BATCH), HOSTS, NOON, SLICE, seed=11).json_lines(setting.folder / "batch.json.gz")
    whole = setting.folder / f"days-{lengths[-1]}"
    _fill(whole, setting, lengths[-1])
    for length in lengths[:-1]:
        _shorten(whole, setting.folder / f"days-{length}", length)
    grounds = [Ground(setting.folder / f"days-{length}") for length in lengths]
    runs = 3 * setting.runs  # a batch is short, and 5 % is little
    planning: dict[int, list[float]] = {length: [] for length in lengths}
    batches = [
        lambda _, ground=ground, length=length: _batch(ground, batch, planning[length])
        for length, ground in zip(lengths, grounds, strict=True)
    ]
    costs = dict(zip(lengths, alternate(runs, *batches), strict=True))
    for ground in grounds:
        ground.close()
    return list(_lines(costs, planning))


def _lines(costs: dict[int, list[Cost]], planning: dict[int, list[float]]) -> Iterator[Line]:
    halves = {long: short for short, long in PAIRS if long in costs}
    for length, each in costs.items():
        half = halves.get(length)
        beside = f", beside {half} d" if half else ""
        floor = costs[half] if half else None
        yield line("history", f"batch with {length} d of history{beside}", each, floor, most=GOAL if half else None)
        plans = planning[length][1:]
        ratio = median(plans) / median(planning[half][1:]) if half else None
        yield Line("history", f"… its planning alone{beside}", median(plans), ratio=ratio)


def _fill(root: Path, setting: Setting, length: int) -> None:
    """A lake with everything that a batch after it reads."""
    ground = Ground(root)
    for day in range(length):
        start = NOON - DAY * (length - day)
        busy = DAY if length - day <= WHOLE_DAYS else BUSY_HOURS
        traffic = Traffic(int(setting.sized(SESSIONS_A_DAY) * (busy / DAY)), HOSTS, start, busy, seed=day)
        ground.take(traffic.parquet(setting.folder / f"day-{day}.parquet"))
    ground.build(("delta", "pair_counts"), Interval(NOON - DAY * length, NOON))
    ground.build(("fg_a",), Interval(NOON - SLICE, NOON))
    ground.settle()
    ground.close()


def _shorten(whole: Path, root: Path, length: int) -> None:
    """The last days of a lake as a lake of its own; the files are shared."""
    shutil.copytree(whole, root, copy_function=os.link, ignore=shutil.ignore_patterns(f"{LEDGER}*"))
    for file in whole.glob(f"{LEDGER}*"):
        shutil.copy(file, root)
    ground = Ground(root)
    first = NOON - timedelta(days=length)
    units = ground.ledger.units()
    ground.ledger.import_units([], [unit for unit in units if min(unit.slices).start < first])
    for table in TABLES.values():
        parts = ground.ledger.parts(table.name, ground.shop.config.feature_spec_version)
        ground.ledger.commit([], [part for part in parts if table.interval(part.key).end <= first], {})
    ground.build(("fg_a",), Interval(NOON - SLICE, NOON))
    ground.settle()
    ground.close()


def _batch(ground: Ground, logs: Path, planning: list[float]) -> Cost:
    """Take a batch, which is measured; then plan it once more alone, and take it back."""
    made = cost(lambda: (ground.importer().files([logs]), build_scores(ground.shop, build_features(ground.shop))))
    units = [
        unit for unit in ground.ledger.units(Interval(NOON, NOON + SLICE)) if PartKey(NOON, NOON + SLICE) in unit.slices
    ]
    _take_back_parts(ground)
    ground.ledger.import_units(units, [])
    start = time.perf_counter()
    plan_everywhere(ground.shop, BEHAVIOUR, AFFECTED)
    plan_deviations(ground.shop, AFFECTED)
    planning.append(time.perf_counter() - start)
    _take_back(ground, units)
    return made


def _take_back_parts(ground: Ground) -> None:
    version = ground.shop.config.feature_spec_version
    for name in TABLES:
        parts = ground.ledger.parts(name, version, Interval(NOON, NOON + SLICE))
        ground.ledger.commit([], parts, {})


def _take_back(ground: Ground, units: list[Unit]) -> None:
    ground.ledger.import_units([], units)
    ground.settle()
    sweep(ground.lake, ground.ledger)
