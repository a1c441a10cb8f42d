"""Who counts as known, whom a host is compared with while it is not, and what the comparison then says."""

from __future__ import annotations

import pytest

from behaviour.baselines import (
    HOST,
    OFFICE,
    OTHER,
    SERVERS,
    THIRD,
    baselines,
    judged,
    judgements,
    machine,
    metadata,
    now,
    seen,
)  # fmt: skip
from oracle_baselines import DAY, QUARTER
from strategies_baselines import APRIL

WARM = seen(4, 4, 5, 6, 6)  # median 5, MAD 1
KIND = seen(40, 50, 60, host=OTHER) + seen(50, 50, 50, host=THIRD)


# --- derivation of the flags


@pytest.mark.parametrize(("slices", "full"), [(2, 0), (3, 1)])
def test_derivation_of_is_full_history(slices: int, full: int) -> None:
    assert metadata(seen(*[7] * slices))["is_full_history"] == full


def test_full_history_is_summed_over_the_bands_of_one_window() -> None:
    by_day, by_night = seen(1, 1), seen(1, band="WD_NIGHT", days_ago=5)
    assert metadata([*by_day, *by_night])["is_full_history"] == 1
    other_window = [*by_day, *seen(1, window="w_1h", days_ago=5)]
    assert metadata(other_window)["is_full_history"] == 0
    assert metadata(other_window, window="w_1h")["is_full_history"] == 0


def test_slices_without_a_value_are_no_support_and_capped_ones_are() -> None:
    assert metadata(seen(1, 1, None))["is_full_history"] == 0
    wild = [*seen(1, 1), *seen(10**6, days_ago=5), *seen(*[1] * 9, host=OTHER)]
    (row,) = [r for r in baselines(wild)["fg_b_host"] if r["host_ip"] == HOST]
    assert (row["capped_cnt"], row["sessions_cnt_support_count"], row["sessions_cnt_p99"]) == (1, 3, 1.0)
    assert metadata(wild)["is_full_history"] == 1


@pytest.mark.parametrize(
    ("name", "passing"),
    [("VDI-07", 1), ("vdi-07", 1), ("citrix-a", 1), ("CITRIX", 1), ("my-vdi-1", 0), ("vd", 0), ("pc-1", 0)],
)
def test_derivation_of_is_non_persistent_machine(name: str, passing: int) -> None:
    row = metadata(WARM, machines=[machine(name)])
    assert (row["machine_name"], row["is_non_persistent_machine"]) == (name, passing)


def test_a_machine_without_a_name_is_taken_to_stay() -> None:
    row = metadata(WARM, machines=[machine("VDI-1", host=OTHER)])
    assert (row["machine_name"], row["is_non_persistent_machine"], row["is_cold_start"]) == (None, 0, 0)


def test_a_name_is_that_of_the_latest_inventory_before_the_baselines() -> None:
    names = [machine("pc-1", month="2026-02"), machine("VDI-2", month="2026-03"), machine("pc-3", month="2026-05")]
    assert metadata(WARM, machines=names)["machine_name"] == "VDI-2"
    assert metadata(WARM, machines=names[2:])["machine_name"] is None


@pytest.mark.parametrize(
    ("counts", "name", "cold"),
    [((1, 1, 1), "pc-1", 0), ((1, 1, 1), "VDI-1", 1), ((1, 1), "pc-1", 1), ((1, 1), "VDI-1", 1)],
)
def test_derivation_of_is_cold_start(counts: tuple[int, ...], name: str, cold: int) -> None:
    past = seen(*counts)
    assert metadata(past, machines=[machine(name)])["is_cold_start"] == cold
    assert judged(past, now(1), machines=[machine(name)])["is_cold_start"] == cold


def test_a_host_that_no_baseline_knows_is_cold() -> None:
    assert judged(KIND, now(1))["is_cold_start"] == 1
    other_window = judged([*WARM, *KIND], now(1, window="w_1h"))
    assert other_window["is_cold_start"] == 1


# --- choice of the tier


def test_choice_of_the_baseline_tier() -> None:
    past = [*WARM, *KIND, *seen(*[500] * 3, host="10.1.2.1", segment=SERVERS)]
    wanted = {
        "a known host": (now(5), "host", 5.0),
        "a stranger of a known segment": (now(5, host="10.1.1.99"), OFFICE, 40.0),
        "a stranger of a segment nobody knows": (now(5, host="10.9.9.9", segment="lab"), "everybody", 50.0),
        "a known host that moved to another segment": (now(5, segment=SERVERS), SERVERS, 500.0),
        "hours at which nobody was ever seen": (now(5, band="WE_NIGHT"), None, None),
    }
    tiers = {"host": "host", OFFICE: "segment", SERVERS: "segment", "everybody": "global", None: None}
    for current, source, median in wanted.values():
        row = judged(past, current)
        assert row["baseline_source"] == tiers[source]
        assert row["sessions_cnt_diff"] == (None if median is None else 5 - median)


def test_a_cold_host_is_judged_by_its_segment() -> None:
    past = [*seen(5, 5), *KIND]
    row = judged(past, now(5))
    assert (row["is_cold_start"], row["baseline_source"]) == (1, "segment")
    assert row["sessions_cnt_diff"] == 5 - 50


def test_a_known_host_is_judged_by_its_segment_at_hours_at_which_it_never_was_seen() -> None:
    row = judged([*WARM, *seen(90, 90, 90, host=OTHER, band="WE_NIGHT")], now(5, band="WE_NIGHT"))
    assert (row["is_cold_start"], row["baseline_source"], row["sessions_cnt_diff"]) == (0, "segment", 5 - 90)
    assert (row["band_active_share"], row["time_band_violation_flag"]) == (0.0, 1)


def test_a_host_whose_slices_were_all_capped_is_judged_by_its_segment() -> None:
    past = [*seen(*[10**6] * 3), *seen(*[1] * 40, host=OTHER)]
    row = judged(past, now(1))
    assert (row["is_cold_start"], row["baseline_source"], row["sessions_cnt_diff"]) == (0, "segment", 0.0)


def test_a_metric_with_too_little_support_is_judged_by_the_next_tier() -> None:
    """Failures need four slices here, sessions three."""

    def both(host: str, sessions: float, failed: float | None, place: int) -> dict[str, object]:
        row = seen(sessions, host=host, days_ago=4)[0]
        return row | {"failed_cnt": failed, "window_end_ts": row["window_end_ts"] + place * QUARTER}

    past = [both(HOST, 5, 2, k) for k in range(3)] + [both(OTHER, 50, 20, k) for k in range(3)]
    row = judged(past, now(5) | {"failed_cnt": 2})
    assert row["baseline_source"] == "host"
    assert (row["sessions_cnt_diff"], row["failed_cnt_diff"]) == (0.0, 2 - 11)
    assert (row["baseline_cold_start_any"], row["baseline_min_support_count"]) == (1, 3)
    sources = {each["metric"]: each["source"] for each in row["top_deviations"]}
    assert sources == {"failed_cnt": "segment"}


def test_where_every_tier_has_too_little_support_the_nearest_one_judges() -> None:
    past = [row | {"failed_cnt": 2} for row in WARM[:3]]
    row = judged(past, now(5) | {"failed_cnt": 3})
    assert row["failed_cnt_diff"] == 1.0
    assert row["top_deviations"][0]["source"] == "host"


def test_without_a_baseline_nothing_is_said_instead_of_normal() -> None:
    row = judged(WARM, now(10**6, band="WE_NIGHT"))
    assert row["baseline_source"] is None
    told = {row[c] for c in row if c.startswith("sessions_cnt_")}
    told |= {row[c] for c in ("anomaly_strength_core", "lateral_movement_score", "baseline_min_support_count")}
    assert told == {None}
    assert not row["top_deviations"]
    assert (row["band_active_share"], row["time_band_violation_flag"]) == (None, None)


def test_before_the_first_baselines_there_are_no_deviations() -> None:
    assert judgements(WARM, [now(5)], publications=()) == []
    assert judgements(WARM, [now(5)], publications=((APRIL + DAY, False, ("7d",)),)) == []
