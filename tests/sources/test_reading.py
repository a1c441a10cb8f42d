"""Any bytes at all: never a traceback, never a silent loss, never a hang."""

import bz2
import gzip
import hashlib
import json
import os
import random
from pathlib import Path

import pyarrow as pa
import pytest

from ndr.ahead import ahead
from ndr.errors import UnknownNameError, UsageError
from ndr.sources.files import list_files, read_file
from ndr.sources.reading import blocks


def record(number=0, **fields):
    return json.dumps(
        {"event_end": 1772359200 + number, "source_ip": "10.0.0.1", "destination_ip": "10.0.0.2"} | fields
    )


def log(count, first=0):
    return "".join(record(first + number) + "\n" for number in range(count)).encode()


def zstd(data):
    return pa.compress(data, codec="zstd", asbytes=True)


def lines_of(data, limit=1 << 20, size=7):
    found, faults = [], []
    for block in blocks(iter([data[i : i + size] for i in range(0, len(data), size)]), limit):
        found += list(zip(block.lines["line"].to_pylist(), block.lines["text"].to_pylist(), strict=True))
        faults += [(fault.line, fault.reason) for fault in block.faults]
    return found, faults


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_lines_are_numbered_whatever_the_chunks(size):
    data = b"a\nbc\r\n\n  \t\n\xc3\xa4\n\xff\n x\nx\0y\n" + b"z" * 30 + b"\nend"
    found, faults = lines_of(data, limit=25, size=size)
    assert found == [(1, "a"), (2, "bc"), (5, "ä"), (7, " x"), (10, "end")]
    assert faults == [(6, "bad_utf8"), (8, "nul_byte"), (9, "line_too_long")]


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_an_endless_line_is_one_fault(size):
    assert lines_of(b"a\n" + b"z" * 500, limit=25, size=size) == ([(1, "a")], [(2, "line_too_long")])


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd, lambda d: gzip.compress(d[:300]) + gzip.compress(d[300:]),
                                  lambda d: zstd(d[:300]) + zstd(d[300:])])  # fmt: skip
def test_compression_is_told_by_content_and_changes_nothing(reading, pack):
    plain = reading(log(50), name="plain")
    bytes_plain = reading.last.read_bytes()
    packed = reading(pack(log(50)), name="packed.json")
    assert packed.report.content_sha256 == plain.report.content_sha256
    assert packed.sessions == plain.sessions
    assert reading.last.read_bytes() == bytes_plain


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
@pytest.mark.parametrize("damage", ["cut", "cut late", "flip", "garbage behind"])
def test_a_damaged_stream_is_refused_as_a_whole(reading, pack, damage):
    noisy = "".join(record(n, rule=hashlib.md5(str(n).encode()).hexdigest()) + "\n" for n in range(9000))  # noqa: S324
    data = bytearray(pack(noisy.encode()))
    if damage == "flip":
        data[len(data) // 2 :] = bytes(byte ^ 0x55 for byte in data[len(data) // 2 :])
    data = {"cut": data[: len(data) // 2], "cut late": data[:-3], "garbage behind": data + b"garbage"}.get(damage, data)
    done = reading(bytes(data))
    assert done.report.outcome == "refused"
    assert "cut short or damaged after" in done.report.reason
    assert done.sessions == []


def test_a_damaged_stream_says_how_far_it_was_good(reading):
    noisy = "".join(record(n, rule=hashlib.md5(str(n).encode()).hexdigest()) + "\n" for n in range(9000))  # noqa: S324
    packed = gzip.compress(noisy.encode())
    reason = reading(packed[: len(packed) // 2]).report.reason
    assert 4000 < int(reason.split("after ")[1].split(" lines")[0].replace(",", "")) < 5000


def test_a_bomb_is_refused_before_it_unfolds(reading):
    done = reading(gzip.compress(log(10) + b"\n" * (64 << 20)))
    assert done.report.outcome == "refused"
    assert "expands more than 200 times" in done.report.reason


def test_an_endless_line_in_a_small_file_is_quarantined(reading):
    done = reading(log(10) + b"x" * (100 << 20) + b"\n" + log(10))
    assert (done.report.read, done.report.sessions) == (21, 20)
    assert done.quarantine[0]["reason"] == "line_too_long"
    assert len(done.quarantine[0]["text"]) < 3000


def test_content_larger_than_a_chunk_is_read_in_order(reading, monkeypatch):
    monkeypatch.setattr("ndr.sources.content.CHUNK_BYTES", 10_000)
    done = reading(gzip.compress(log(5000), 1))
    ends = [session["event_end"] for session in done.sessions]
    assert len(ends) == 5000
    assert ends == sorted(ends)


@pytest.mark.parametrize("encode", [lambda t: b"\xef\xbb\xbf" + t.encode(), lambda t: t.encode("utf-16"),
                                    lambda t: b"\xfe\xff" + t.encode("utf-16-be"), lambda t: t.encode("utf-32"),
                                    lambda t: t.replace("\n", "\r\n").encode(), lambda t: t.rstrip("\n").encode(),
                                    lambda t: ("\n\n" + t.replace("\n", "\n \t\n")).encode()])  # fmt: skip
def test_encodings_and_line_ends_do_not_matter(reading, encode):
    done = reading(encode(log(20).decode() + record(rule="naïve") + "\n"))
    assert (done.report.outcome, done.report.sessions, done.quarantine) == ("imported", 21, [])
    assert done.sessions[-1]["rule"] == "naïve"


@pytest.mark.parametrize(("line", "reason"), [(b'{"rule": "\xff"}', "bad_utf8"), (b'{"rule": "a\0b"}', "nul_byte")])
def test_a_line_that_is_no_text_is_quarantined_alone(reading, line, reason):
    done = reading(log(9) + line + b"\n" + log(1))
    assert done.report.quarantined == {reason: 1}
    assert done.quarantine[0] | {"file": "", "text": ""} == {"file": "", "line": 10, "reason": reason, "text": ""}


def test_the_quarantine_shows_no_control_characters(reading):
    done = reading(log(9) + b"\x1b]0;title\x07 \xc2\x9b31m" + b"y" * 5000 + b"\n")
    assert done.quarantine[0]["text"].isprintable()
    assert done.quarantine[0]["text"].startswith("\\x1b]0;title\\x07 \\x9b31m")
    assert len(done.quarantine[0]["text"]) < 2100


@pytest.mark.parametrize(("content", "reason"), [
    (b"", "empty"), (b"\n\n \n", "empty"), (b"\xef\xbb\xbf", "empty"), (gzip.compress(b"", mtime=0), "empty"),
    (b"hello\nworld\n", "not a log of any known format"), (bytes(range(256)) * 9, "binary data"),
])  # fmt: skip
def test_what_holds_no_sessions_is_skipped_and_says_what_it_is(reading, content, reason):
    report = reading(content).report
    assert (report.outcome, report.reason, report.read) == ("skipped", reason, 0)


def test_another_compression_is_refused_by_name(reading):
    assert "bzip2" in reading(bz2.compress(log(3))).report.reason


def test_too_large_a_share_of_bad_records_refuses_the_file(reading):
    good, bad = log(8), b'{"source_ip": 1}\n'
    assert reading(good + bad * 2).report.outcome == "imported"
    done = reading(good + bad * 3)
    assert done.report.outcome == "refused"
    assert "3 of its 11 records" in done.report.reason
    assert "line 9" in done.report.reason
    assert reading(good + bad * 3, bad_share_limit=0.5).report.outcome == "imported"


def test_a_last_line_that_breaks_off_is_not_held_against_the_file(reading):
    done = reading(log(1) + record().encode()[:40])
    assert (done.report.outcome, done.report.sessions, done.report.quarantined) == ("imported", 1, {"unparsable": 1})
    assert not done.report.ends_with_newline


def test_what_is_no_readable_file_is_refused_by_name(reading, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("fifo", "dangling", "."):
        assert reading(tmp_path / name).report.outcome == "refused"
    assert reading(Path("/dev/zero")).report.outcome == "refused"


def test_an_unknown_source_is_an_error(reading):
    with pytest.raises(UnknownNameError, match="Did you mean 'zeek'"):
        reading(log(1), source="zek")


def test_a_source_that_was_asked_for_is_believed(reading):
    done = reading('{"nothing": 1}\n' * 3, source="palo_alto")
    assert (done.report.outcome, done.report.source) == ("refused", "palo_alto")


def test_outputs_are_removed_when_the_import_dies(tmp_path, monkeypatch):
    path, out = tmp_path / "a.json", [tmp_path / "s", tmp_path / "q"]
    path.write_bytes(log(5))
    monkeypatch.setattr("ndr.sources.files.Tally.check", lambda *_a, **_k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        read_file(path, source=None, specs={}, sessions_to=out[0], quarantine_to=out[1], known=lambda _: {})
    assert not any(each.exists() for each in out)


def test_files_are_listed_once_sorted_and_without_hidden_ones(tmp_path):
    for name in ("b/2.log", "b/1.log", "a.log", ".hidden", "b/.git/x", "[odd].log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    named = [str(each.relative_to(tmp_path)) for each in list_files([str(tmp_path), str(tmp_path / "a.log")])]
    assert named == ["[odd].log", "a.log", "b/1.log", "b/2.log"]
    assert [each.name for each in list_files([str(tmp_path / "b/*.log")])] == ["1.log", "2.log"]
    assert [each.name for each in list_files([str(tmp_path / "**/1.log")])] == ["1.log"]
    with pytest.raises(UsageError, match=r"Did you mean 'a\.log'"):
        list_files([str(tmp_path / "a.lg")])


def test_work_ahead_hands_on_errors_and_stops_when_left():
    def items():
        yield 1
        raise KeyError("x")

    got = ahead(items())
    assert next(got) == 1
    with pytest.raises(KeyError):
        next(got)
    endless = ahead(iter(int, 1))
    assert next(endless) == 0
    endless.close()


@pytest.mark.parametrize("seed", range(40))
def test_damage_anywhere_is_survived_and_accounted_for(reading, seed):
    """The import raises nothing, and its check of the counts holds; a fifth of the damage is to the packed bytes."""
    chance = random.Random(seed)  # noqa: S311
    fields = "#separator \\x09\n#path\tconn\n#fields\tts\tid.orig_h\tid.resp_h\tproto\n"
    data = bytearray(log(40) if seed % 2 else (fields + "1.5\t10.0.0.1\t10.0.0.2\ttcp\n" * 40).encode())
    pieces = [
        b"\n",
        b"\t",
        b"#fields\t",
        b"#separator \\x",
        b"{",
        b"[",
        b'"',
        b"\\u0000",
        b"\xff",
        b"\0",
        b"1e999",
        b"9" * 30,
    ]
    if packed := seed % 5 == 0:
        data = bytearray(gzip.compress(data))
    for _ in range(chance.choice([1, 5, 50])):
        at = chance.randrange(len(data))
        data[at : at + chance.randrange(4)] = chance.choice(pieces)
    report = reading(bytes(data), bad_share_limit=1).report
    assert report.outcome in {"imported", "skipped", "refused"}
    assert packed or report.read <= data.count(b"\n") + 1
