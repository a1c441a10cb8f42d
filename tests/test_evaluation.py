"""How well a ranking finds attacks: counted by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ndr.errors import UsageError
from ndr.evaluation import Scored, evaluate

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
MONDAY = datetime(2026, 3, 2)


@dataclass(frozen=True)
class Known:
    host: str
    start: datetime
    end: datetime
    kind: str = "scan"


def at(hour: float, host: str, score: float, length: timedelta = HOUR) -> tuple[str, datetime, datetime, float]:
    """A window that ends so many hours after Monday's beginning."""
    end = MONDAY + hour * HOUR
    return host, end - length, end, score


def known(host: str, start: float, end: float, kind: str = "scan") -> Known:
    return Known(host, MONDAY + start * HOUR, MONDAY + end * HOUR, kind)


SEVEN = [
    at(10, "a", 0.5), at(12, "a", 0.9), at(13, "a", 0.2),
    at(10, "b", 0.95), at(12, "b", 0.1),
    at(10, "c", 0.3), at(12, "d", 0.6),
]  # fmt: skip
"""Monday's greatest scores: b 0.95, a 0.9, d 0.6, c 0.3."""


def test_a_day_counted_by_hand() -> None:
    """a is attacked from 11:30 to 11:50: its window of 12 is the only one that holds it."""
    found = evaluate(Scored.of(SEVEN), [known("a", 11.5, 11.8)], k=2)
    assert found["recall_at_2"] == 1.0
    assert found["precision_at_2"] == 0.5
    assert found["roc_auc"] == pytest.approx(2 / 3)  # before d and c, behind b
    assert found["average_precision"] == pytest.approx(1 / 2)
    assert found["rows"] == {
        "rows": 7, "positive": 1, "roc_auc": pytest.approx(5 / 6), "average_precision": pytest.approx(1 / 2)
    }  # fmt: skip
    assert found["per_kind"] == {
        "scan": {"attacks": 1, "found": 1, "recall_at_2": 1.0, "delay_seconds": 1800.0, "best_place": 2}
    }
    assert (found["attacks"], found["attacks_found"], found["attacks_outside"]) == (1, 1, 0)
    assert (found["days"], found["host_days"], found["attacked_host_days"]) == (1, 4, 1)


def test_the_first_place_is_too_far_for_who_is_second() -> None:
    found = evaluate(Scored.of(SEVEN), [known("a", 11.5, 11.8)], k=1)
    assert (found["recall_at_1"], found["precision_at_1"], found["attacks_found"]) == (0.0, 0.0, 0)
    assert found["delay_seconds"] is None
    assert found["per_kind"]["scan"]["best_place"] == 2


def test_what_stood_out_before_its_attack_found_nothing() -> None:
    """b had 0.95 at 10, and is attacked at 11:30; its window of 12 has 0.1, the last of four."""
    found = evaluate(Scored.of(SEVEN), [known("b", 11.5, 11.8)], k=3)
    assert found["recall_at_3"] == 0.0
    assert found["per_kind"]["scan"]["best_place"] == 4
    assert found["roc_auc"] == 0.0


def test_windows_are_half_open_and_an_attack_has_a_last_moment() -> None:
    rows = [at(10, "a", 0.9), at(11, "a", 0.8), at(12, "a", 0.7), at(12, "b", 0.1)]
    touching = [evaluate(Scored.of(rows), [known("a", *span)])["rows"]["positive"] for span in
                ((10, 10), (9.99, 10), (9.99, 9.995), (11, 11.5), (12, 12))]  # fmt: skip
    assert touching == [1, 2, 1, 1, 0]


def test_delay_counts_from_the_start_to_the_end_of_the_first_window_that_is_found() -> None:
    rows = [at(10, "a", 0.4), at(11, "a", 0.4), at(12, "a", 0.6), at(10, "b", 0.5), at(20, "c", 0.3)]
    found = evaluate(Scored.of(rows), [known("a", 9.25, 13)], k=1)
    assert found["delay_seconds"] == 2.75 * 3600
    assert evaluate(Scored.of(rows), [known("a", 9.25, 13)], k=2)["delay_seconds"] == 0.75 * 3600


def test_the_median_delay_is_unknown_when_half_were_never_found() -> None:
    rows = [at(10, "a", 0.9), at(10, "b", 0.1), at(10, "c", 0.5), at(10, "d", 0.8)]
    one, lost = known("a", 9.5, 9.6), known("b", 9.5, 9.6)
    two = known("d", 9.75, 9.8)
    assert evaluate(Scored.of(rows), [one, lost], k=2)["delay_seconds"] is None
    assert evaluate(Scored.of(rows), [one, two, lost], k=2)["delay_seconds"] == 1800.0


def test_midnight_belongs_to_the_day_before() -> None:
    rows = [at(24, "a", 0.9), at(24, "b", 0.5), at(25, "b", 0.7)]
    found = evaluate(Scored.of(rows), [known("a", 23.1, 23.2)], k=1)
    assert (found["days"], found["host_days"], found["recall_at_1"]) == (2, 3, 1.0)


def test_a_fragment_of_a_day_does_not_count() -> None:
    """The first midnight alone: nobody could have been found on that day."""
    rows = [at(24 + n / 4, host, score) for n in range(20) for host, score in (("a", n), ("b", 10))]
    found = evaluate(Scored.of(rows), [known("a", 23, 27)], k=1)
    assert (found["days"], found["host_days"], found["recall_at_1"]) == (1, 2, 1.0)
    assert found["delay_seconds"] == (24 + 11 / 4 - 23) * 3600
    assert found["rows"]["rows"] == 40
    assert evaluate(Scored.of(rows), [known("a", 22, 23)], k=1)["attacks_outside"] == 1


def test_a_day_after_an_attack_is_neither() -> None:
    """A window of 24 hours still holds Monday's attack on Tuesday: no false alarm, no success, no place taken."""
    rows = [at(22, "a", 0.1), at(22, "b", 0.2), at(26, "a", 0.9, DAY), at(26, "b", 0.5, DAY), at(26, "c", 0.4, DAY)]
    found = evaluate(Scored.of(rows), [known("a", 21.5, 21.6)], k=1)
    assert (found["host_days"], found["attacked_host_days"], found["recall_at_1"]) == (4, 1, 0.0)
    assert found["precision_at_1"] == 0.0
    assert found["attacks_found"] == 1  # late: at two o'clock of the next morning
    assert found["delay_seconds"] == 4.5 * 3600
    others = evaluate(Scored.of(rows), [known("b", 25.5, 25.6)], k=1)
    assert others["recall_at_1"] == 0.0  # where a is no aftermath it comes first


def test_an_attack_of_several_days_is_to_be_found_on_each() -> None:
    rows = [at(10, "a", 0.9), at(34, "a", 0.1), at(10, "b", 0.5), at(34, "b", 0.5), at(60, "b", 0.5)]
    found = evaluate(Scored.of(rows), [known("a", 9.5, 40)], k=1)
    assert (found["attacked_host_days"], found["recall_at_1"]) == (2, 0.5)
    assert found["per_kind"]["scan"]["recall_at_1"] == 0.5
    assert (found["attacks"], found["attacks_found"]) == (1, 1)


def test_an_attack_without_rows_is_missed_and_comes_last() -> None:
    found = evaluate(Scored.of(SEVEN), [known("z", 11.5, 11.8)], k=10)
    assert (found["recall_at_10"], found["precision_at_10"], found["roc_auc"]) == (0.0, 0.0, 0.0)
    assert found["per_kind"]["scan"] == {
        "attacks": 1, "found": 0, "recall_at_10": 0.0, "delay_seconds": None, "best_place": None
    }  # fmt: skip
    assert found["rows"]["roc_auc"] is None


def test_an_attack_on_a_day_without_scores_was_not_looked_for() -> None:
    found = evaluate(Scored.of(SEVEN), [known("a", 11.5, 11.8), known("b", 60, 61, "dga")])
    assert (found["attacks"], found["attacks_outside"]) == (1, 1)
    assert list(found["per_kind"]) == ["scan"]
    assert found["attacked_host_days"] == 1


@pytest.mark.parametrize("k", [1, 3, 4])
def test_scores_that_say_nothing_find_nothing(k: int) -> None:
    """All alike: only who looks at every host finds the one."""
    rows = [(host, start, end, 0.5) for host, start, end, _ in SEVEN]
    found = evaluate(Scored.of(rows), [known("a", 11.5, 11.8)], k=k)
    assert found[f"recall_at_{k}"] == (1.0 if k == 4 else 0.0)
    assert found["roc_auc"] == 0.5
    assert found["average_precision"] == 0.25  # one of four host-days
    assert found["attacks_found"] == int(k == 4)


def test_attackers_that_are_level_do_not_push_each_other_up() -> None:
    rows = [at(10, "a", 0.9), at(10, "b", 0.9), at(10, "c", 0.1)]
    found = evaluate(Scored.of(rows), [known("a", 9.5, 9.6), known("b", 9.5, 9.6)], k=1)
    assert (found["recall_at_1"], found["reachable_at_1"]) == (0.0, 0.5)
    assert evaluate(Scored.of(rows), [known("a", 9.5, 9.6), known("b", 9.5, 9.6)], k=2)["recall_at_2"] == 1.0


def test_with_one_class_there_is_no_curve() -> None:
    quiet = evaluate(Scored.of(SEVEN), [])
    assert all(quiet[name] is None for name in ("recall_at_10", "precision_at_10", "average_precision", "roc_auc"))
    assert quiet["rows"]["roc_auc"] is quiet["rows"]["average_precision"] is quiet["delay_seconds"] is None
    assert (quiet["per_kind"], quiet["attacks"]) == ({}, 0)
    only = evaluate(Scored.of([at(10, "a", 0.9)]), [known("a", 9.5, 9.6)])
    assert (only["recall_at_10"], only["roc_auc"], only["average_precision"]) == (1.0, None, None)
    nothing = evaluate(Scored.of([]), [known("a", 9.5, 9.6)])
    assert (nothing["recall_at_10"], nothing["attacks_outside"], nothing["days"]) == (None, 1, 0)


def test_a_score_of_0_is_a_score() -> None:
    rows = [at(10, "a", 0.0), at(10, "b", -1.0)]
    assert evaluate(Scored.of(rows), [known("a", 9.5, 9.6)], k=1)["recall_at_1"] == 1.0


def test_kinds_are_told_apart() -> None:
    """a does two things on one day; each is found by the windows that hold it."""
    rows = [at(10, "a", 0.9), at(15, "a", 0.1), at(10, "b", 0.5), at(15, "b", 0.4)]
    found = evaluate(Scored.of(rows), [known("a", 9.5, 9.6, "dga"), known("a", 14.5, 14.6, "mining")], k=1)
    assert found["per_kind"]["dga"]["recall_at_1"] == 1.0
    assert found["per_kind"]["mining"] == {
        "attacks": 1, "found": 0, "recall_at_1": 0.0, "delay_seconds": None, "best_place": 2
    }  # fmt: skip
    assert (found["attacked_host_days"], found["recall_at_1"]) == (1, 1.0)
    assert [each["kind"] for each in found["per_attack"]] == ["dga", "mining"]


def test_nobody_can_look_at_no_hosts() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        evaluate(Scored.of(SEVEN), [], k=0)


def rounded(found: Any) -> Any:
    if isinstance(found, dict):
        return {name: rounded(value) for name, value in found.items()}
    return round(found, 9) if isinstance(found, float) else found


@given(seed=st.integers(0, 2**32), k=st.integers(1, 6))
def test_what_holds_of_any_ranking(seed: int, k: int) -> None:
    """Order of rows and any growing function of the scores change nothing; more places never lower recall."""
    rng = Random(seed)  # noqa: S311 - made-up data
    rows = [at(rng.randrange(1, 72), rng.choice("abcdefg"), rng.choice((0, 1, 2, 5))) for _ in range(60)]
    attacks = [known(rng.choice("abcdefgz"), start := rng.uniform(0, 80), start + rng.choice((0, 1, 30)))
               for _ in range(rng.randrange(4))]  # fmt: skip
    found = evaluate(Scored.of(rows), attacks, k)
    grown = [(host, start, end, math.exp(score) - 7) for host, start, end, score in rng.sample(rows, len(rows))]
    assert rounded(evaluate(Scored.of(grown), attacks, k)) == rounded(found)
    more = evaluate(Scored.of(rows), attacks, k + 1)
    if found["attacked_host_days"]:
        assert 0 <= found[f"recall_at_{k}"] <= found[f"reachable_at_{k}"] <= 1
        assert more[f"recall_at_{k + 1}"] >= found[f"recall_at_{k}"]
    assert more["attacks_found"] >= found["attacks_found"]
