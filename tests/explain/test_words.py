"""The sentences of an explanation, from rows written by hand."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from ndr.explaining.amounts import amount, duration, measured, number, size
from ndr.explaining.case import Case, metric_column
from ndr.explaining.words import _more_unusual, contributions, sentences, total
from ndr.metrics import BY_NAME, METRICS
from ndr.model.kinds import ENDPOINT, KINDS, TECHNIQUES
from ndr.specs import Config
from ndr.standing import Standing
from ndr.table import Publication
from ndr.time import DAY, Interval

END = datetime(2026, 3, 11, 10)
REFERENCE = datetime(2026, 3, 11)
SHOP: Any = SimpleNamespace(config=Config(), model=None)
PLACE = {"host_ip": "10.1.1.1", "segment_id": "10.1.1.0/24", "time_band": "WE_WORKING", "machine_name": "ws-031"}
BEACON = {
    "beacon_dst_ip": "198.51.100.7", "beacon_dst_port": 443, "beacon_interval_seconds": 60.0,
    "beacon_connections_cnt": 58, "beacon_score": 0.9, "beacon_interval_regularity": 0.97,
    "beacon_interval_skew_score": 0.8, "beacon_size_regularity": None, "beacon_coverage_score": 0.5,
    "beacon_prevalence_share": 0.0, "beacon_suspicion_score": 0.9,
}  # fmt: skip
DEVIATIONS = {
    **PLACE, **BEACON, **dict.fromkeys((kind.column for kind in KINDS.values() if kind.column), 0.0),
    "beacon_suspicion_score": 0.9, "baseline_horizon": "7d", "baseline_source": "host", "reference_time": REFERENCE,
    "is_cold_start": 0, "is_provisional": 0, "is_non_persistent_machine": 0, "time_band_violation_flag": 0,
    "band_active_share": 0.4, "bytes_src_sum_diff": 5.4e9, "bytes_src_sum_z_mad": 900.0,
    "bytes_src_sum_excess_ratio_p95": 400.0,
    "top_deviations": [{"metric": "in_deny_cnt", "z": -3.5, "value": 0.0, "baseline": 7.0, "source": "segment"}],
}  # fmt: skip
REASONS = [
    {"feature": "exfiltration_suspicion_score", "contribution": 4.0, "value": 3.0, "baseline": 0.1,
     "source": "training", "technique": "T1041,T1048"},
    {"feature": "deny_ratio", "contribution": 1.5, "value": 0.5, "baseline": 0.01, "source": "segment",
     "technique": None},
    {"feature": "new_pair_cnt", "contribution": 0.5, "value": 12.0, "baseline": 0.0, "source": "training",
     "technique": None},
    {"feature": "other_features", "contribution": -0.25, "value": None, "baseline": None, "source": None,
     "technique": None},
]  # fmt: skip
PREDICTION = {
    **PLACE, **BEACON, **{f"evidence_{kind}": 0.0 for kind in KINDS}, "evidence_exfiltration": 4.0,
    "evidence_forest": 1.75, "evidence": 5.75, "prediction_score": 0.99971, "prediction_label": "anomalous",
    "leading_kind": "exfiltration", "techniques": "T1041,T1048", "model_name": "isolation_forest",
    "model_version": "abc", "baseline_horizon": "7d", "explanation": REASONS,
    "top_deviations": DEVIATIONS["top_deviations"],
}  # fmt: skip


def case(prediction: dict[str, Any] | None = None, **changes: Any) -> Case:
    publication = Publication(REFERENCE, {"7d": Interval(REFERENCE - 9 * DAY, REFERENCE - 2 * DAY)})
    behaviour = {**PLACE, "bytes_src_sum": 5_400_044_000}
    return Case(
        "10.1.1.1", "w_1h", Interval(END - DAY / 24, END), behaviour, DEVIATIONS | changes, prediction, publication
    )


def said(told: Case) -> str:
    return "\n".join(sentences(told, SHOP))


def test_a_score_is_told_with_what_spoke_and_against_what() -> None:
    assert sentences(case(PREDICTION), SHOP) == [
        (
            "10.1.1.1 (machine ws-031, segment 10.1.1.0/24) from 2026-03-11T09:00:00Z to 2026-03-11T10:00:00Z, window "
            "w_1h: it ends in the working hours of a weekend day or holiday."
        ),
        (
            "Score 0.99971: more unusual than 99.97 % of the windows that model isolation_forest abc "
            "was trained on; evidence 5.8 nats; labelled anomalous: it alerts."
        ),
        (
            "Loudest is exfiltration with 4.0 nats (ATT&CK T1041 Exfiltration Over C2 Channel, T1048 Exfiltration Over "
            "Alternative Protocol); then isolation forest with 1.8 nats."
        ),
        (
            "It is held against its own past of the 7d baselines of 2026-03-11T00:00:00Z (2026-03-02T00:00:00Z to "
            "2026-03-09T00:00:00Z)."
        ),
        (
            "It calls 198.51.100.7 port 443 every 60 s, 58 times: beacon score 0.90 (regularity of intervals 0.97, "
            "symmetry 0.80, sizes unknown, coverage 0.50); 0 % of the other hosts call it too."
        ),
    ]


def test_each_reason_has_its_value_what_is_usual_and_where_that_comes_from() -> None:
    told = contributions(case(PREDICTION))
    assert [part["words"] for part in told] == [
        "exfiltration: 5.4 GB sent by the source (bytes_src_sum), usually 44 KB for this host",
        "isolation forest: share of sessions that were blocked 50 % (deny_ratio), usually 1 % in its segment",
        "isolation forest: pairs of peer and port never seen in the baseline 12, usually 0 in the training",
        "isolation forest: all its other features together",
    ]
    assert total(case(PREDICTION), told) == {"contributions": 5.75, "evidence": 5.75, "equal": True}


def test_a_sum_that_is_not_the_evidence_is_seen() -> None:
    wrong = case(PREDICTION | {"evidence": 5.75 + 1e-6})
    found = total(wrong, contributions(wrong))
    assert found is not None
    assert not found["equal"]


def test_provisional_baselines_and_cold_starts_are_said() -> None:
    told = said(case(PREDICTION, is_cold_start=1, is_provisional=1, baseline_source="segment"))
    assert "held against its segment 10.1.1.0/24" in told
    assert "These baselines are provisional" in told
    assert "Cold start: it has too little past of its own" in told
    assert "its machine comes and goes" in said(case(PREDICTION, is_cold_start=1, is_non_persistent_machine=1))
    assert "hardly ever active at such hours (1.0 %" in said(
        case(PREDICTION, time_band_violation_flag=1, band_active_share=0.01)
    )


def test_no_more_is_claimed_than_the_training_tells() -> None:
    assert _more_unusual(0.9991, 2_000) == "more unusual than 99.91 % of the 2,000 windows"
    assert _more_unusual(0.9999, 2_000) == "more unusual than every one of the 2,000 windows"
    assert _more_unusual(0.0, 2_000) == "more unusual than 0.00 % of the 2,000 windows"


def test_a_score_of_zero_is_a_score() -> None:
    nothing = PREDICTION | {f"evidence_{kind}": 0.0 for kind in KINDS}
    calm = nothing | {
        "prediction_score": 0.0, "evidence": 0.0, "prediction_label": "normal", "explanation": [], "techniques": "",
    }  # fmt: skip
    told = said(case(calm))
    assert "Score 0: more unusual than 0.00 % of the windows" in told
    assert "labelled normal: it does not alert" in told
    assert "No component finds it more than ordinary." in told


def test_an_endpoint_does_not_say_why() -> None:
    reasons = [{"feature": "in_deny_cnt", "contribution": None, "value": 0.0, "baseline": 7.0, "source": "segment"}]
    unknown = PREDICTION | dict.fromkeys(f"evidence_{kind}" for kind in KINDS)
    remote = case(unknown | {"leading_kind": ENDPOINT, "explanation": reasons, "techniques": ""})
    assert "by the model of an endpoint, which does not say why" in said(remote)
    told = contributions(remote)
    assert [part["words"] for part in told] == [
        "to it: 0 sessions that the device blocked (in_deny_cnt), usually 7 in its segment"
    ]
    assert total(remote, told) is None


def test_without_a_score_the_deviations_are_told() -> None:
    told = case()
    assert told.leading_kind == "beacon"
    assert "there is no model yet; ndr train makes one" in said(told)
    assert contributions(told)[0]["words"].endswith("usually 7 in its segment, z -3.5")


def test_without_baselines_it_says_how_many_days_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ndr.explaining.words.standing", lambda shop: Standing(None, 1, 9, 0))
    alone = Case("10.1.1.1", "w_1h", Interval(END - DAY / 24, END), PLACE, None, None, None)
    told = said(alone)
    assert "not held against anything" in told
    assert "baselines need 9 days of logs, you have 1" in told
    assert contributions(alone) == []


def test_every_technique_has_a_name() -> None:
    assert {each for kind in KINDS.values() for each in kind.techniques} <= set(TECHNIQUES)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (size(999), "999 bytes"),
        (size(5.54e9), "5.54 GB"),
        (size(44_000), "44 KB"),
        (duration(60), "60 s"),
        (duration(900), "15 min"),
        (duration(6 * 3600), "6 h"),
        (duration(4 * 86_400), "4 days"),
        (number(1_234_567.0), "1,234,567"),
        (number(0.12345), "0.123"),
        (number(float("nan")), "nan"),
        (amount(0.428, BY_NAME["failed_ratio"]), "42.8 %"),
        (amount(45.5, BY_NAME["bytes_asymmetry_ratio"]), "45.5"),
        (measured(1201, BY_NAME["sessions_cnt"]), "1,201 sessions"),
        (measured(3, BY_NAME["tcp_cnt"]), "3 TCP sessions"),
        (measured(7, BY_NAME["peer_ip_nunique"]), "7 distinct peers"),
        (measured(1.5, BY_NAME["peer_ip_entropy"]), "how evenly the sessions spread over the peers 1.5 nats"),
    ],
)  # fmt: skip
def test_amounts_are_those_of_people(told: str, expected: str) -> None:
    assert told == expected


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_every_metric_can_be_told(metric: Any) -> None:
    text = measured(3.0, metric)
    assert "3" in text
    assert not text.endswith((".", ";"))


def test_a_feature_knows_its_metric() -> None:
    assert metric_column("bytes_src_sum_z_mad_clipped") == "bytes_src_sum"
    assert metric_column("in_peer_ip_nunique_log_ratio") == "in_peer_ip_nunique"
    assert metric_column("peer_ip_nunique") == "peer_ip_nunique"
    assert not metric_column("pair_rarity_max")
