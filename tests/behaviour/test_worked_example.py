"""The figures of docs/baselines.md, made by the recipes, so that the page says what the program does."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast

from behaviour.baselines import HOST, OFFICE, OTHER, baselines, judged, now, seen
from house.rooms import ROOT
from ndr.ledger import Ledger
from ndr.publications import publications
from ndr.specs import Config
from oracle_baselines import DAY, Row

PAGE = (ROOT / "docs" / "baselines.md").read_text(encoding="utf-8")
USUAL = (3, 4, 4, 5, 5, 6, 6, 7, 13)
WILD = (*USUAL, 500)
QUIET, SOMETIMES = (0,) * 9, (2, 2, 2, 4, 4, 4, 4, 6, 6, 6)
TOP = 5
"""The score that holds a strength is a mean of five, and here the other four are unknown."""


def plain(value: float) -> str:
    """A number as the page writes it."""
    return f"{round(float(value), 2):g}"


def expect_line(*cells: float | str) -> None:
    line = f"| {' | '.join(cell if isinstance(cell, str) else plain(cell) for cell in cells)} |"
    assert line in PAGE.splitlines(), f"docs/baselines.md lacks the line {line}"


def statistics(table: str, past: list[Row], metric: str) -> Row:
    """Those of the host or the office, by their bare names."""
    (row,) = [each for each in baselines(past)[table] if each.get("host_ip", HOST) == HOST]
    assert row["segment_id"] == OFFICE
    return {name.removeprefix(f"{metric}_"): value for name, value in row.items()}


def strength(row: Row) -> float:
    score: float = row["anomaly_strength_core"]
    return score * TOP


def test_the_page_tells_what_is_kept_of_the_past() -> None:
    for name, counts in (("nine slices", USUAL), ("and the tenth", WILD)):
        kept = statistics("fg_b_host", seen(*counts), "sessions_cnt")
        told = ("median", "mad", "p25", "p75", "p95", "p99", "support_count", "capped_cnt")
        expect_line(name, *(kept[each] for each in told))


def test_the_page_tells_how_far_a_value_is_off() -> None:
    for x in (12, 29, 0):
        row = judged(seen(*WILD), now(x))
        told = ("diff", "z_mad", "ratio", "excess_over_p95")
        expect_line(x, *(row[f"sessions_cnt_{each}"] for each in told), strength(row))
    assert row["sessions_cnt_z_mad_clipped"] == row["sessions_cnt_z_mad"]
    assert f"the *scale* is 1.4826 · 1 = {plain(row['sessions_cnt_diff'] / row['sessions_cnt_z_mad'])}" in PAGE.lower()


def test_the_page_tells_what_becomes_of_a_mad_of_0() -> None:
    failing = seen(*SOMETIMES, host=OTHER, metric="failed_cnt")
    pasts = {
        "0 0 0 0 0 0 2 2 2": seen(*QUIET[:6], 2, 2, 2, metric="failed_cnt"),
        "nine times 0, others of the segment fail now and then": seen(*QUIET, metric="failed_cnt") + failing,
        "nine times 0, and so everybody": seen(*QUIET, metric="failed_cnt"),
    }
    for name, failures in pasts.items():
        past = [row | {"sessions_cnt": 9} for row in failures]
        kept, row = statistics("fg_b_host", past, "failed_cnt"), judged(past, now(500, metric="failed_cnt"))
        z = row["failed_cnt_z_mad"]
        expect_line(name, kept["mad"], kept["iqr"], row["failed_cnt_diff"] / z, z, strength(row))
        if len(past) > len(QUIET):
            assert f"MAD of {plain(statistics('fg_b_segment', past, 'failed_cnt')['mad'])}:" in PAGE


@dataclass(frozen=True)
class Logs:
    """As much of a ledger as says on which days there are logs."""

    first: datetime
    last: datetime
    asked: dict[datetime, bool] = field(default_factory=dict)

    def days(self) -> dict[datetime, datetime]:
        return {day: day + DAY for n in range((self.last - self.first).days) for day in [self.first + n * DAY]}

    def last_arrival(self) -> datetime:
        return self.last

    def asked_publications(self, _version: str) -> dict[datetime, bool]:
        return self.asked


def published(logs: Logs) -> str:
    """The publications as the page lists them."""
    known = publications(Config(), cast("Ledger", logs))
    return ", ".join(f"{p.reference:%-d %B} ({', '.join(p.horizons)})" for p in known)


def test_the_page_tells_when_baselines_are_published() -> None:
    march = datetime(2026, 3, 5)
    told = published(Logs(march, march + timedelta(days=70)))
    assert told.replace(", 1 May", " and 1 May") in " ".join(PAGE.split())
    assert "20 March (7d)" in published(Logs(march, march + timedelta(days=70), {datetime(2026, 3, 20): False}))
