"""Content is imported once: whatever the file is called, however it is packed, and also when it grows."""

import gzip
import hashlib
import json
from collections.abc import Iterable

import pytest

from ndr.sources.content import HEAD_BYTES
from ndr.sources.files import Known


def remembered(imported: Iterable[tuple[int, str, str]]) -> Known:
    """What a ledger knows of imported contents, (content_bytes, content_sha256, head_sha256) each."""
    by_head: dict[str, dict[int, set[str]]] = {}
    for length, content, head in imported:
        by_head.setdefault(head, {}).setdefault(length, set()).add(content)
    lengths = sorted({min(HEAD_BYTES, length) for contents in by_head.values() for length in contents})

    def known(head: bytes) -> dict[int, set[str]]:
        found: dict[int, set[str]] = {}
        for length in lengths:
            if 0 < length <= len(head):
                contents = by_head.get(hashlib.sha256(head[:length]).hexdigest(), {})
                found |= {n: hashes for n, hashes in contents.items() if min(HEAD_BYTES, n) == length}
        return found

    return known


def line(number, **fields):
    return json.dumps({"event_end": number, "source_ip": "10.0.0.1", "destination_ip": "10.0.0.2"} | fields) + "\n"


def log(first, last):
    return "".join(line(number) for number in range(first, last))


def imported(*reports):
    return remembered((r.report.content_bytes, r.report.content_sha256, r.report.head_sha256) for r in reports)


def ends(done):
    return [int(session["event_end"].timestamp()) for session in done.sessions]


def test_a_renamed_or_repacked_file_is_known(reading):
    known = imported(reading(log(0, 50)))
    for content in (log(0, 50).encode(), gzip.compress(log(0, 50).encode())):
        done = reading(content, name="other.log", known=known)
        assert (done.report.outcome, done.report.read, done.sessions) == ("known", 0, [])
    assert reading(log(1, 51), known=known).report.outcome == "imported"


@pytest.mark.parametrize("first", [1, 2, 40, 3000])
@pytest.mark.parametrize("pack", [str.encode, lambda text: gzip.compress(text.encode())])
def test_of_a_grown_file_only_what_came_behind_is_imported(reading, first, pack):
    before = reading(log(0, first))
    done = reading(pack(log(0, first + 10)), known=imported(before))
    assert len(done.sessions) == done.report.read == 10
    assert (done.report.from_line, done.report.from_byte) == (first + 1, before.report.content_bytes)
    assert done.sessions == reading(log(0, first + 10)).sessions[first:]
    assert reading(log(0, first + 10), known=imported(before, done)).report.outcome == "known"


def test_lines_of_the_quarantine_are_counted_from_the_beginning_of_the_file(reading):
    done = reading(log(0, 29) + "{\n", known=imported(reading(log(0, 20))))
    assert [held["line"] for held in done.quarantine] == [30]


def test_a_last_line_is_whole_when_its_end_of_line_follows(reading):
    before = reading(log(0, 20).rstrip("\n"))
    done = reading(log(0, 25), known=imported(before))
    assert (len(done.sessions), done.report.from_line, done.report.replaces) == (5, 21, ())


def test_a_record_that_was_cut_is_read_again(reading):
    first = reading(log(0, 10))
    cut = reading(log(0, 20)[:-30], known=imported(first))
    assert (cut.report.sessions, cut.report.quarantined) == (9, {"unparsable": 1})
    done = reading(log(0, 25), known=imported(first, cut))
    assert (len(done.sessions), done.report.from_line) == (15, 11)
    assert done.report.replaces == (cut.report.content_sha256,)


def test_the_header_before_the_remainder_still_rules(reading):
    header = "#separator \\x09\n#path\tconn\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\n"
    other = "#fields\tts\tid.resp_h\tid.orig_h\tproto\n"
    early = header + "100.5\tC1\t10.0.0.1\t1\t10.0.0.2\t2\ttcp\n" * 300 + other
    before = reading(early + "200.5\t10.0.0.4\t10.0.0.3\tudp\n")
    done = reading(early + "200.5\t10.0.0.4\t10.0.0.3\tudp\n300.5\t10.0.0.6\t10.0.0.5\tudp\n", known=imported(before))
    assert [(s["source_ip"], s["destination_ip"]) for s in done.sessions] == [("10.0.0.5", "10.0.0.6")]


def test_a_common_beginning_is_not_the_same_content(reading):
    before = reading(log(0, 50))
    changed = log(0, 20) + line(7777) + log(21, 60)
    done = reading(changed, known=imported(before))
    assert (done.report.from_line, done.report.read) == (1, 60)
    shorter = reading(log(0, 30), known=imported(before))
    assert (shorter.report.outcome, shorter.report.read) == ("imported", 30)


def test_contents_shorter_than_a_head_are_told_apart():
    known = remembered([(3, "abc", hashlib.sha256(b"abc").hexdigest()), (0, "", "")])
    assert known(b"abcdef") == {3: {"abc"}}
    assert known(b"ab") == {}
    assert known(b"xyz") == {}
