"""Every metric says what it is, and every metric that was promised is there under its promised name."""

from __future__ import annotations

import pytest

from ndr.catalog import metric_entries
from ndr.errors import DeclarationError
from ndr.metric import Metric, by_name
from ndr.metrics import METRICS, ROLES
from ndr.tables import TABLES

ADDITIVE = """
sessions_cnt allow_cnt deny_cnt alert_cnt rst_cnt aged_out_cnt zero_reply_cnt failed_cnt short_session_cnt bytes_src_sum
bytes_dst_sum duration_sum tcp_cnt udp_cnt icmp_cnt threat_cnt traffic_cnt high_risk_port_sessions_cnt
admin_port_sessions_cnt fileshare_port_sessions_cnt directory_port_sessions_cnt db_port_sessions_cnt
""".split()
MAXIMA = ["max_sessions_per_minute"]
DISTINCT = ["peer_ip_nunique", "peer_port_nunique", "peer_segment_nunique"]
CONCENTRATION = """
peer_ip_entropy peer_port_entropy peer_ip_top1_sessions_share peer_port_top1_sessions_share peer_ip_top1_bytes_share
peer_port_top1_bytes_share
""".split()
RATIOS = """
duration_mean deny_ratio failed_ratio bytes_asymmetry_ratio transport_tcp_ratio transport_udp_ratio transport_icmp_ratio
""".split()
FLAGS = ["has_high_risk_port_activity", "has_high_risk_segment_interaction"]
RISK_SEGMENT = ["high_risk_segment_sessions_cnt", "high_risk_segment_unique_dsts"]
NOVELTY = """
new_peer_cnt_lookback30d rare_peer_cnt_lookback30d new_peer_ratio_lookback30d new_dst_port_cnt_lookback30d
rare_dst_port_cnt_lookback30d new_pair_cnt_lookback30d new_src_dst_port_cnt_lookback30d
""".split()
PROMISED = [*ADDITIVE, *MAXIMA, *DISTINCT, *CONCENTRATION, *RATIOS, *FLAGS, *RISK_SEGMENT, *NOVELTY]
TIME_CONTEXT = """
hour_of_day day_of_week is_working_hours is_off_hours is_night_hours is_weekend is_holiday time_band
""".split()
METADATA = """
record_id host_ip window_label window_start_ts window_end_ts mini_batch_id feature_spec_version segment_id
""".split()

each = pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)


@each
def test_a_metric_says_what_it_is(metric: Metric) -> None:
    assert metric.doc.strip().endswith(".")
    assert metric.doc[0].isupper()
    assert metric.name.replace("_", " ") not in metric.doc.lower(), "the sentence restates the name"
    assert metric.unit.strip()
    assert metric.formula.strip()
    assert metric.floor > 0


@each
def test_a_metric_names_what_its_formula_needs(metric: Metric) -> None:
    """A metric of the host is computed from other metrics of the row; its formula names them."""
    if metric.measured == "host":
        named = [other.name for other in METRICS if other.name in metric.formula and other is not metric]
        assert named, f"{metric.formula!r} names no metric"


@pytest.mark.parametrize("name", PROMISED)
def test_a_promised_metric_is_catalogued_and_a_column_in_both_roles(name: str) -> None:
    (entry,) = [e for e in metric_entries() if e.name == name]
    assert entry.inbound_name == f"in_{name}"
    assert entry.unit
    assert entry.meaning
    assert entry.formula
    assert {name, f"in_{name}"} <= set(TABLES["fg_a"].columns)


def test_nothing_is_measured_that_was_not_promised() -> None:
    assert sorted(m.name for m in METRICS) == sorted(PROMISED)


def test_the_columns_of_fg_a_are_metadata_context_and_metrics() -> None:
    metrics = [metric.column(role) for role in ROLES for metric in METRICS]
    assert sorted(TABLES["fg_a"].columns) == sorted([*METADATA, *TIME_CONTEXT, *metrics])


@pytest.mark.parametrize("name", ADDITIVE)
def test_additive_metrics_merge_by_sum(name: str) -> None:
    assert by_name(METRICS)[name].merge == "sum"


@pytest.mark.parametrize("name", [*DISTINCT, *CONCENTRATION, *RATIOS, *FLAGS, *RISK_SEGMENT, *NOVELTY])
def test_what_cannot_be_merged_is_measured_afresh(name: str) -> None:
    assert by_name(METRICS)[name].merge == "afresh"


def test_a_name_stands_for_one_metric() -> None:
    with pytest.raises(DeclarationError, match="sessions_cnt is declared twice"):
        by_name([*METRICS, METRICS[0]])


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"measured": "peers", "merge": "sum"}, "cannot merge by sum"),
        ({"measured": "sessions", "merge": "afresh"}, "cannot merge by afresh"),
        ({"floor": 0.0}, "floor must be positive"),
        ({"unit": ""}, "needs a unit"),
        ({"doc": "No stop"}, "sentence that ends in a stop"),
        ({"formula": ""}, "formula"),
    ],
)
def test_a_metric_that_says_too_little_cannot_be_declared(broken: dict[str, object], reason: str) -> None:
    plain = {
        "name": "x_cnt", "unit": "sessions", "doc": "Something.", "formula": "count of x", "measured": "sessions",
        "measure": lambda s: s.weight, "merge": "sum",
    }  # fmt: skip
    Metric(**plain)
    with pytest.raises(DeclarationError, match=reason):
        Metric(**{**plain, **broken})
