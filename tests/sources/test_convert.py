from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from ndr.errors import SpecError
from ndr.sources.convert import canonical_ip, check_spec, convert
from ndr.sources.source import SourceSpec
from ndr.tables.sessions import SESSION_FIELDS
from ndr.time import EPOCH

PLAIN = {
    "event_end": "2026-03-01T10:00:00Z", "source_ip": "10.0.0.1", "destination_ip": "10.0.0.2", "source_port": "50000",
    "destination_port": "443", "network_transport": "tcp", "event_action": "allow", "event_name": "TRAFFIC",
}  # fmt: skip


def converted(*records, **spec):
    rows = [{"line": number, **PLAIN, **record} for number, record in enumerate(records, 1)]
    names = dict.fromkeys(name for row in rows for name in row)
    draft = pa.table(
        {n: pa.array([row.get(n) for row in rows], pa.int64() if n == "line" else pa.string()) for n in names}
    )
    return convert(draft, SourceSpec(**spec))


def session(record, **spec):
    done = converted(record, **spec)
    assert not done.faults
    return done.sessions.to_pylist()[0]


MOMENT = datetime(2021, 7, 14, 17, 43, 38, 384979)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1626284618.384979", MOMENT),
        ("1626284618384.979", MOMENT),
        ("1626284618384979", MOMENT),
        ("1626284618384979000", MOMENT),
        ("1626284618384979123", MOMENT),
        ("1.626284618384979e9", MOMENT),
        ("1626284618", MOMENT.replace(microsecond=0)),
        ("1626284618384", MOMENT.replace(microsecond=384000)),
        ("2021-07-14T17:43:38.384979Z", MOMENT),
        ("2021-07-14T17:43:38.384979123Z", MOMENT),
        ("2021-07-14T19:43:38.384979+02:00", MOMENT),
        ("2021-07-14T19:43:38.384979+0200", MOMENT),
        ("2021-07-14 12:13:38.384979-05:30", MOMENT),
        ("2021/07/14 17:43:38", MOMENT.replace(microsecond=0)),
        ("2021-07-14 17:43:38.384", MOMENT.replace(microsecond=384000)),
        ("2021/07/14 17:43:38.384979", MOMENT),
        ("0", datetime(1970, 1, 1)),
        ("4070908800", datetime(2099, 1, 1)),
        ("4070908800000000000", datetime(2099, 1, 1)),
    ],
)
def test_a_time_is_told_by_its_form_and_size(text, moment):
    assert session({"event_end": text})["event_end"] == moment
    both = converted({"event_end": text}, {"event_end": "1600000000"}, {}).sessions["event_end"].to_pylist()
    assert both[0] == moment  # whatever stands beside it


@pytest.mark.parametrize(
    "text", [None, "", "-", "XXXXXXXXXX.XXXXXX", "yesterday", "epoch", "infinity", "nan", "2026-13-01T00:00:00Z",
             "2026-02-30 10:00:00", "2026-03-01", "1e400", "9" * 60]
)  # fmt: skip
def test_no_time_is_no_session(text):
    assert converted({"event_end": text}, {}).faults == [(1, "no_time")]
    assert converted({"event_end": text}).faults == [(1, "no_time")]


@pytest.mark.parametrize("text", ["-1", "4102444800", "2100-01-01T00:00:00Z", "99999-01-01 00:00:00", "10000000000.5"])
def test_a_time_outside_the_range_is_no_session(text):
    assert converted({"event_end": text}, {}).faults[0][1] in {"time_out_of_range", "no_time"}


def test_the_earliest_time_is_configured():
    assert converted({"event_end": "10"}, earliest="2000-01-01").faults == [(1, "time_out_of_range")]


def test_local_times_are_read_in_the_configured_zone_and_others_not():
    texts = ["2026/07/01 12:00:00", "2026-01-01 12:00:00.5", "2026-07-01T12:00:00Z", "2026-07-01T12:00:00+01:00"]
    ends = converted(*({"event_end": text} for text in texts), time_zone="Europe/Berlin").sessions["event_end"]
    assert [end.hour for end in ends.to_pylist()] == [10, 11, 12, 11]


@pytest.mark.parametrize("spec", [{"time_zone": "Europe/Berlyn"}, {"earliest": "soon"}])
def test_a_spec_that_means_nothing_is_an_error(spec):
    with pytest.raises(SpecError):
        check_spec(SourceSpec(**spec))


def test_a_missing_time_follows_from_the_other_and_the_duration():
    for record, start, end in [
        ({"event_end": "100", "event_start": "40"}, 40, 100),
        ({"event_end": "100", "duration": "60"}, 40, 100),
        ({"event_end": None, "event_start": "40", "duration": "60.0"}, 40, 100),
        ({"event_end": None, "event_start": "40"}, 40, 40),
        ({"event_end": "100"}, 100, 100),
    ]:
        got = session(record)
        assert [got["event_start"], got["event_end"]] == [
            EPOCH + timedelta(seconds=start),
            EPOCH + timedelta(seconds=end),
        ]


@pytest.mark.parametrize("record", [{"event_start": "200", "event_end": "100"}, {"event_end": "100", "duration": "-9"}])
def test_a_session_that_ends_before_it_starts_has_zero_duration_and_keeps_its_clock(record):
    done = converted(record)
    got = done.sessions.to_pylist()[0]
    assert got["event_start"] == got["event_end"] == datetime(1970, 1, 1, 0, 1, 40)
    assert done.mended == {"negative_duration": 1}


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("10.0.0.1", "10.0.0.1"), (" 10.0.0.1 ", "10.0.0.1"), ("FE80::1%eth0", "fe80::1"),
        ("::ffff:10.0.0.1", "10.0.0.1"), ("2001:0DB8:0:0:0:0:0:1", "2001:db8::1"), ("::", "::"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("10.0.0.01", None), ("10.0.0", None), ("256.1.1.1", None),
        ("3232235777", None), ("", None), ("-", None), ("host.example", None), ("10.0.0.1:80", None),
        ("1.2.3.4\n", "1.2.3.4"), ("00:11:22:33:44:55", None),
    ],
)  # fmt: skip
def test_addresses_are_canonical_or_none(text, canonical):
    assert canonical_ip(text) == canonical
    done = converted({"source_ip": text}, {})
    assert done.sessions["source_ip"].to_pylist()[0] == (canonical or PLAIN["source_ip"])
    assert done.faults == ([] if canonical else [(1, "bad_ip")])


def test_ports_are_in_range_or_null():
    texts = ["0", "65535", "65536", "70000", "-1", "http", "", None, "80.0", "0x50"]
    done = converted(*({"destination_port": text} for text in texts))
    assert done.sessions["destination_port"].to_pylist() == [0, 65535, None, None, None, None, None, None, 80, 80]
    assert done.mended == {"port_out_of_range": 3, "bad_port": 1}


@pytest.mark.parametrize("transport", ["icmp", "ICMP6", "ipv6-icmp", "1", "58", "gre", "igmp"])
def test_protocols_without_ports_have_none(transport):
    done = converted({"network_transport": transport, "source_port": "8", "destination_port": "0x0303"})
    got = done.sessions.to_pylist()[0]
    assert (got["source_port"], got["destination_port"], done.mended) == (None, None, {})


@pytest.mark.parametrize(
    ("text", "name"),
    [("TCP", "tcp"), ("6", "tcp"), ("17", "udp"), ("58", "icmp"), ("132", "sctp"), ("250", "250"), (None, "unknown")],
)
def test_transports_have_their_own_name(text, name):
    assert session({"network_transport": text})["network_transport"] == name


def test_amounts_are_unknown_rather_than_wrong():
    texts = ["0", "12", "-5", str(2**48), str(2**48 + 1), "9223372036854775808", "many", "-", "", None, "7.0"]
    done = converted(*({"source_bytes": text} for text in texts))
    assert done.sessions["source_bytes"].to_pylist() == [0, 12, None, 2**48, None, None, None, None, None, None, 7]
    assert done.mended == {"negative_bytes": 1, "bytes_overflow": 2, "bad_bytes": 1}


def test_terminal_escapes_and_blanks_do_not_reach_names():
    got = session({"rule": " \x1b[31mred\x1b[0m ", "machine_name": "-", "application": "", "event_action": "Deny\x07"})
    assert (got["rule"], got["machine_name"], got["application"]) == ("\\x1b[31mred\\x1b[0m", None, None)
    assert got["event_action"] == "deny\\x07"


def test_every_record_is_accounted_for():
    done = converted({}, {"fault": "odd"}, {"filtered": "start"}, {"source_ip": "x"}, {"filtered": "s", "fault": "f"})
    assert (len(done.sessions), done.faults, done.filtered) == (1, [(2, "odd"), (4, "bad_ip")], {"start": 1, "s": 1})
    assert done.sessions.schema.equals(SESSION_FIELDS)


def test_a_draft_may_be_empty_or_lack_columns():
    bare = pa.table({"line": pa.array([1], pa.int64()), "source_ip": ["10.0.0.1"]})
    assert convert(bare, SourceSpec()).faults == [(1, "no_time")]
    assert len(convert(bare[:0], SourceSpec()).sessions) == 0
