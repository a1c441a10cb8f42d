"""Zeek logs that nobody here wrote. Every file is accounted for; the figures were counted with other tools."""

from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[3] / "shared/data"
pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="no shared samples here")

IMPORTED = {  # file -> sessions, quarantined, filtered
    "zeek_zat/conn.log": (360, 0, 0),
    "zeek_zat/json/conn.log": (50, 0, 0),
    "zeek_otrf_apt29_day1/NASHUA_conn.log": (479, 0, 0),
    "zeek_otrf_apt29_day1/SCRANTON_conn.log": (134, 0, 0),
    "zeek_otrf_apt29_day1/combined_zeek.log.gz": (613, 0, 1527),
    "zeek_rita_testdata/json_with_all_fields/conn.log": (29, 0, 0),
    "zeek_rita_testdata/open_conns/closed/conn.log": (59, 0, 0),
    "zeek_rita_testdata/open_conns/open/conn.log": (29, 0, 0),
    "zeek_rita_testdata/proxy/conn.log": (463, 0, 0),
    "zeek_rita_testdata/proxy_rolling/conn.15:00:00-16:00:00.log.gz": (290, 0, 0),
    "zeek_rita_testdata/proxy_rolling/conn.16:00:00-17:00:00.log.gz": (7260, 0, 0),
    "zeek_rita_testdata/truncated/conn.log": (58, 1, 0),
    "zeek_rita_testdata/truncated/conn_json.log": (3, 1, 0),
    "zeek_btest/core.ppp_conn.log": (3, 0, 0),
    "iot23_labeled_sample/CTU-Honeypot-Capture-4-1.conn.log.labeled": (452, 0, 0),
    "iot23_labeled_sample/CTU-IoT-Malware-Capture-44-1conn.log.labeled.csv": (237, 0, 0),
    "netflowlabeler_examples/conn.json.log": (1000, 0, 0),
    "netflowlabeler_examples/conn.tab.log": (92, 0, 0),
    "slips_testdata/port-scans/horizontal/conn.log": (41, 0, 0),
    "slips_testdata/port-scans/vertical/conn.log": (50, 0, 0),
    "slips_testdata/test9-mixed-zeek-dir/conn.log": (576, 0, 0),
    "slips_testdata/test10-mixed-zeek-dir/conn.log": (141, 0, 0),
    "slips_testdata/test13-malicious-dhcpscan-zeek-dir/conn.log": (2, 0, 0),
}
REFUSED = {
    "zeek_zat/http.log.corrupt.gz": "cut short or damaged after 158 lines",
    "zeek_rita_testdata/truncated/conn_top.log": "no_header 59",
    "zeek_btest/spicy.terminate-session_conn.log": "missing_columns 2",
}
NO_CONN = {
    "core.ppp_conn.log", "spicy.terminate-session_conn.log", "scripts.base.protocols.ldap.gap_conn.log",
    "scripts.base.protocols.ldap.modify-request_conn.log", "supervisor.config-cluster-pcap_zeek.worker.conn.log",
}  # fmt: skip


def others():
    folders = [*SAMPLES.glob("zeek_*"), SAMPLES / "iot23_labeled_sample"]
    every = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    names = {str(path.relative_to(SAMPLES)) for path in every} - IMPORTED.keys() - REFUSED.keys()
    return sorted(name for name in names if not name.startswith("zeek_btest/") or Path(name).name in NO_CONN)


@pytest.mark.parametrize("name", IMPORTED)
def test_a_conn_log_is_imported(reading, name):
    report = reading(SAMPLES / name).report
    assert (report.outcome, report.source) == ("imported", "zeek")
    assert (report.sessions, sum(report.quarantined.values()), sum(report.filtered.values())) == IMPORTED[name]


@pytest.mark.parametrize("name", REFUSED)
def test_a_broken_log_is_refused(reading, name):
    report = reading(SAMPLES / name).report
    assert report.outcome == "refused"
    assert REFUSED[name] in report.reason


MASKED = [path for path in sorted((SAMPLES / "zeek_btest").glob("*.*")) if path.name not in NO_CONN]


@pytest.mark.parametrize("path", MASKED, ids=lambda path: path.name)
def test_masked_times_are_no_times(reading, path):
    report = reading(path).report
    assert report.outcome == "refused"
    assert "(no_time " in report.reason


@pytest.mark.parametrize("name", others())
def test_everything_else_is_skipped_with_a_reason(reading, name):
    done = reading(SAMPLES / name)
    assert (done.report.outcome, done.report.read) == ("skipped", 0)
    assert done.report.reason


def test_the_mixed_stream_holds_the_same_connections_as_the_single_files(reading):
    folder = SAMPLES / "zeek_otrf_apt29_day1"
    single = [s for name in ("NASHUA", "SCRANTON") for s in reading(folder / f"{name}_conn.log").sessions]
    mixed = reading(folder / "combined_zeek.log.gz").sessions
    assert sorted(map(repr, single)) == sorted(map(repr, mixed))


def test_figures_of_a_known_capture(reading):
    sessions = reading(SAMPLES / "zeek_otrf_apt29_day1/SCRANTON_conn.log").sessions
    upload = next(s for s in sessions if s["destination_bytes"] == 31850555)
    assert (upload["source_ip"], upload["destination_ip"], upload["destination_port"]) == (
        "10.0.1.4",
        "192.168.0.5",
        443,
    )
    assert (upload["source_bytes"], upload["established"], upload["event_reason"]) == (524399, True, None)
    assert str(upload["event_start"]) == "2020-04-30 00:15:18.749671"
    assert str(upload["event_end"]) == "2020-04-30 00:46:59.965879"
    assert upload["sensor"] == "simplerockbuild.simplerock.lan"
