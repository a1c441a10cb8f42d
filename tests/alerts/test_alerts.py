"""What people are told to look at: ranked by day, folded, explained; a quiet day is quiet."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from alerts.scored import DAY, HOSTS, HOUR, MODEL, Scored, T, judged, quarters, talked
from ndr.alerts import alerts
from ndr.time import SLICE, Interval


@pytest.fixture
def world(lake) -> Iterator[Scored]:
    made = Scored(lake)
    yield made
    made.close()


MIDNIGHT = datetime(2026, 3, 5)


def hosts(found: list) -> list[str]:
    return [alert.host_ip for alert in found]


def test_a_lake_without_predictions_has_no_alerts(world: Scored) -> None:
    assert alerts(world.shop) == []


def test_a_quiet_day_is_quiet(world: Scored) -> None:
    world.score(*(judged(host, prediction_label="normal", evidence=50.0) for host in HOSTS))
    assert alerts(world.shop) == []
    assert len(alerts(world.shop, threshold=0.99)) == 10
    assert alerts(world.shop, threshold=0.999999) == []


def test_an_alert_tells_what_its_peak_window_says(world: Scored) -> None:
    world.score(
        judged(evidence=5.0, leading_kind="scan"), judged(end=T + SLICE, evidence=12.0), judged(end=T + 2 * SLICE)
    )
    (alert,) = alerts(world.shop)
    assert (alert.first_seen, alert.last_seen) == (T - SLICE, T + 2 * SLICE)
    assert (alert.detected, alert.windows, alert.rank) == (T, 3, 1)
    assert (alert.window_label, alert.window_end_ts) == ("w_15m", T + SLICE), "of equal windows the earliest"
    assert (alert.leading_kind, alert.title) == ("exfiltration", "exfiltration")
    assert alert.techniques == ("T1041", "T1048")
    assert (alert.machine_name, alert.segment_id, alert.baseline_source) == ("pc-1", "10.1.1.0/24", "host")
    assert (alert.prediction_score, alert.evidence, alert.risk, alert.severity) == (0.99999, 12.0, 25.9, "low")
    assert alert.reasons == ("bytes_src_sum 5,000,000,000, usually 1,000 (z +40)",)
    assert alert.explanation[0]["feature"] == "exfiltration_suspicion_score"
    assert alert.model_version == MODEL


def test_the_budget_is_of_hosts_and_days(world: Scored) -> None:
    world.score(*(judged(host, evidence=float(i)) for i, host in enumerate(HOSTS[:5])))
    world.score(*(judged(host, T + DAY, evidence=float(10 + i)) for i, host in enumerate(HOSTS[5:8])))
    found = alerts(world.shop, budget=2)
    assert hosts(found) == [HOSTS[7], HOSTS[6], HOSTS[4], HOSTS[3]]
    assert [alert.rank for alert in found] == [1, 2, 3, 4]


def test_two_episodes_of_a_host_take_one_place(world: Scored) -> None:
    world.score(judged(HOSTS[0], T), judged(HOSTS[0], T + 5 * HOUR, evidence=1.0), judged(HOSTS[1], T, evidence=5.0))
    assert hosts(alerts(world.shop, budget=1)) == [HOSTS[0], HOSTS[0]]


def test_a_window_end_at_midnight_belongs_to_the_day_that_ends(world: Scored) -> None:
    world.score(judged(HOSTS[0], MIDNIGHT, evidence=9.0), judged(HOSTS[1], MIDNIGHT - 5 * HOUR, evidence=8.0))
    world.score(judged(HOSTS[2], MIDNIGHT + SLICE, evidence=1.0))
    assert hosts(alerts(world.shop, budget=1)) == [HOSTS[0], HOSTS[2]]


def test_windows_fold_across_labels_and_midnight(world: Scored) -> None:
    world.score(*quarters(HOSTS[0], MIDNIGHT - HOUR, 8))
    world.score(judged(HOSTS[0], MIDNIGHT + 6 * HOUR, window_label="w_8h"))
    (alert,) = alerts(world.shop)
    assert (alert.first_seen, alert.last_seen) == (MIDNIGHT - HOUR, MIDNIGHT + 6 * HOUR)
    assert alert.windows == 9


@pytest.mark.parametrize(("gap", "count"), [(HOUR, 1), (HOUR + SLICE, 2)])
def test_windows_an_hour_apart_belong_together_and_no_farther(world: Scored, gap: timedelta, count: int) -> None:
    world.score(judged(end=T), judged(end=T + SLICE + gap), judged(HOSTS[1], T + SLICE))
    assert hosts(alerts(world.shop)).count(HOSTS[0]) == count


def test_a_long_window_reaches_over_short_ones(world: Scored) -> None:
    world.score(judged(end=T, window_label="w_24h"), judged(end=T - 20 * HOUR), judged(end=T - 3 * HOUR))
    (alert,) = alerts(world.shop)
    assert (alert.first_seen, alert.last_seen) == (T - 20 * HOUR - SLICE, T), "not where the day-long window begins"


def test_an_alert_keeps_its_id_while_it_goes_on_and_wherever_one_looks_from(world: Scored) -> None:
    start = T - 12 * DAY
    world.score(*quarters(HOSTS[0], start, 8))
    world.score(*(judged(HOSTS[0], start + i * HOUR, window_label="w_8h") for i in range(1, 280, 7)))
    (whole,) = alerts(world.shop)
    (part,) = alerts(world.shop, Interval(T - 2 * DAY, T))
    assert part.id == whole.id
    assert (part.first_seen, part.windows) == (whole.first_seen, whole.windows)
    (early,) = alerts(world.shop, Interval(start - DAY, start + DAY))
    assert early.id == whole.id
    assert early.last_seen == start + 22 * HOUR, "what came later is not known yet"
    world.score(judged(HOSTS[0], start + 275 * HOUR))
    assert [alert.id for alert in alerts(world.shop)] == [whole.id]


def test_a_longer_window_that_joins_changes_neither_the_id_nor_when_it_was_first_seen(world: Scored) -> None:
    world.score(judged(), judged(window_label="w_1h"))
    (early,) = alerts(world.shop)
    world.score(judged(end=T + SLICE, window_label="w_8h"), judged(end=T + HOUR, window_label="w_24h"))
    (later,) = alerts(world.shop)
    assert later.id == early.id
    assert later.first_seen == early.first_seen == T - SLICE
    assert (later.windows, later.last_seen) == (4, T + HOUR)


def test_what_ended_before_is_not_told_again(world: Scored) -> None:
    world.score(judged(HOSTS[0], T - 2 * HOUR), judged(HOSTS[1], T))
    assert hosts(alerts(world.shop, Interval(T - HOUR, T))) == [HOSTS[1]]
    assert hosts(alerts(world.shop, Interval(T, T + HOUR))) == []
    assert hosts(alerts(world.shop, Interval(T - 2 * HOUR, T))) == [HOSTS[1]]


def test_other_models_have_no_say(world: Scored) -> None:
    world.score(judged(model_version="ffffffffffff", evidence=99.0), judged(HOSTS[1]))
    assert hosts(alerts(world.shop)) == [HOSTS[1]]


def test_the_pairs_that_explain_exfiltration_sent_most(world: Scored) -> None:
    world.score(judged(window_label="w_1h"))
    world.talk(
        talked(HOSTS[0], "203.0.113.9", source_bytes=4_000_000),
        talked(HOSTS[0], "203.0.113.9", start=T - 2 * SLICE, source_bytes=4_000_000),
        talked(HOSTS[0], "10.1.1.250", 53, sessions_cnt=500, source_bytes=30_000),
        talked(HOSTS[0], "203.0.113.7", start=T - 2 * HOUR, source_bytes=10**12),  # before the window
        talked(HOSTS[1], "203.0.113.8", source_bytes=10**12),  # somebody else
        talked("10.1.1.250", HOSTS[0], source_bytes=10**12),  # inbound
    )
    (alert,) = alerts(world.shop)
    (peer,) = alert.peers
    assert (peer.peer_ip, peer.port, peer.sessions, peer.bytes_sent) == ("203.0.113.9", 443, 2, 8_000_000)
    assert peer.bytes_received == 100


def test_the_pairs_that_explain_a_scan_did_not_answer(world: Scored) -> None:
    world.score(judged(leading_kind="scan"))
    world.talk(talked(HOSTS[0], "10.1.1.250", 53, sessions_cnt=500))
    world.talk(*(talked(HOSTS[0], f"10.2.0.{i}", 445, destination_bytes=0) for i in range(40)))
    (alert,) = alerts(world.shop)
    assert [(peer.peer_ip, peer.port) for peer in alert.peers] == [(f"10.2.0.{i}", 445) for i in (0, 1, 10, 11, 12)]


def test_lateral_movement_is_explained_by_hosts_and_the_rest_by_sessions(world: Scored) -> None:
    world.score(judged(leading_kind="lateral_movement"), judged(HOSTS[1], leading_kind="anomaly"))
    for host in HOSTS[:2]:
        world.talk(
            talked(host, "203.0.113.5", sessions_cnt=500), talked(host, "10.1.1.9", None, dst_is_host=True),
            talked(host, "203.0.113.6", source_bytes=None, destination_bytes=None),
        )  # fmt: skip
    lateral, other = sorted(alerts(world.shop), key=lambda alert: alert.host_ip)
    assert [(peer.peer_ip, peer.port) for peer in lateral.peers] == [("10.1.1.9", None)]
    assert [peer.peer_ip for peer in other.peers] == ["203.0.113.5"]


def test_of_equal_pairs_those_that_did_not_answer_come_first(world: Scored) -> None:
    world.score(judged(leading_kind="lateral_movement"))
    world.talk(*(talked(HOSTS[0], "10.2.0.1", port, dst_is_host=True, destination_bytes=port % 2) for port in range(9)))
    (alert,) = alerts(world.shop)
    assert [peer.port for peer in alert.peers] == [0, 2, 4, 6, 8]


def test_a_beacon_is_explained_by_the_pair_that_beats(world: Scored) -> None:
    beats = {
        "leading_kind": "beacon", "beacon_dst_ip": "203.0.113.5", "beacon_dst_port": 8443, "beacon_score": 0.9,
        "beacon_interval_seconds": 60.0, "evidence_beacon": 9.0,
    }  # fmt: skip
    world.score(judged(**beats), judged(HOSTS[1], **beats))
    world.talk(talked(HOSTS[0], "203.0.113.5", 8443), talked(HOSTS[0], "203.0.113.9", sessions_cnt=9))
    seen, unseen = sorted(alerts(world.shop), key=lambda alert: alert.host_ip)
    assert [(peer.peer_ip, peer.port, peer.sessions) for peer in seen.peers] == [("203.0.113.5", 8443, 1)]
    assert [(peer.peer_ip, peer.port, peer.sessions) for peer in unseen.peers] == [("203.0.113.5", 8443, None)]
    assert seen.reasons[0] == "calls 203.0.113.5:8443 every 60 s (beacon score 0.90)"


def test_numbers_without_bounds_are_not_told(world: Scored) -> None:
    world.score(judged(explanation=[{"feature": "x", "value": float("inf"), "contribution": float("nan")}]))
    assert alerts(world.shop)[0].explanation[0]["value"] is None


def test_more_evidence_is_more_severe(world: Scored) -> None:
    amounts = (0.0, 19.9, 20.0, 45.0, 80.0, 1e9)
    world.score(*(judged(host, evidence=amount) for host, amount in zip(HOSTS, amounts, strict=False)))
    found = alerts(world.shop)[::-1]
    assert [alert.severity for alert in found] == ["low", "low", "medium", "high", "critical", "critical"]
    assert [alert.risk for alert in found] == [0.0, 39.2, 39.3, 67.5, 86.5, 100.0]


def test_a_beacon_without_a_say_is_not_told(world: Scored) -> None:
    beats = {"beacon_dst_ip": "203.0.113.5", "beacon_score": 0.9, "beacon_interval_seconds": 60.0}
    amounts = dict(zip(HOSTS, (None, 2.9, 3.0), strict=False))
    world.score(*(judged(host, **beats, evidence_beacon=amount) for host, amount in amounts.items()))
    told = {alert.host_ip: len(alert.reasons) for alert in alerts(world.shop)}
    assert told == {HOSTS[0]: 1, HOSTS[1]: 1, HOSTS[2]: 2}
