"""Score files of other programs: what is read, and how what cannot be is refused."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from ndr.errors import AdapterError, DataError
from ndr.sources.rankings import read_scores

GOOD = "host,window_start,window_end,score\n"
ROW = '{"host": "10.0.0.1", "time": "2026-03-02T10:00Z", "score": 0.5}\n'


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "scores.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(tmp_path: Path, content: str | bytes) -> list[tuple[str, datetime, datetime, float]]:
    found = read_scores(written(tmp_path, content))
    starts, ends = (moments.astype(object) for moments in (found.starts, found.ends))
    return list(zip(found.hosts, starts, ends, found.scores.tolist(), strict=True))


@pytest.mark.parametrize(
    "content",
    [
        GOOD + "10.0.0.1,2026-03-02T09:00Z,2026-03-02T10:00:00Z,0.5\n",
        "\ufeff\r\n" + GOOD.strip() + "\r\n::ffff:10.0.0.1,2026-03-02 09:00,2026-03-02T11:00+01:00, 5e-1\r\n\r\n",
        'prediction_score,host_ip,_,window_end_ts,window_label\n.5,10.0.0.1,"a ""b"",\n",2026-03-02T10:00Z,w_1h\n',
        '{"host": "10.0.0.1", "window_start": "2026-03-02T09:00", "window_end": "2026-03-02T10:00", "score": 0.5}',
        '\n{"host_ip": "10.0.0.1", "window_label": "w_1h", "window_end_ts": "2026-03-02T10:00Z", "score": "0.5"}\n\n',
    ],
)  # fmt: skip
def test_the_same_row_in_many_hands(tmp_path: Path, content: str) -> None:
    assert read(tmp_path, content) == [("10.0.0.1", datetime(2026, 3, 2, 9), datetime(2026, 3, 2, 10), 0.5)]


def test_a_moment_is_a_window_of_a_microsecond(tmp_path: Path) -> None:
    ten = datetime(2026, 3, 2, 10)
    assert read(tmp_path, ROW) == [("10.0.0.1", ten, ten.replace(microsecond=1), 0.5)]


def test_a_score_of_0_is_a_score(tmp_path: Path) -> None:
    zeros = [ROW.replace("0.5", zero) for zero in ("0", "0.0", '"0"', "-0.0")]
    assert [row[3] for row in read(tmp_path, "".join(zeros))] == [0.0] * 4


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["holds no rows"]),
        (GOOD, ["holds no rows"]),
        ("\n \n", ["holds no rows"]),
        (b"host,score\n\xff\xfe", ["not UTF-8"]),
        ("a\nb\n", [":2: there is no host", "columns are a"]),
        ("host,time\n10.0.0.1,2026-03-02\n", [":2: there is no score"]),
        (GOOD + "10.0.0.1,2026-03-02,2026-03-03\n", [":2: 3 cells", "4 columns"]),
        (GOOD + "\n10.0.0.1,2026-03-02,2026-03-03,1\n10.0.0,2026-03-02,2026-03-03,1\n", [":4: ", "'10.0.0' is no IP"]),
        (GOOD + "10.0.0.1,2026-03-03,2026-03-02,1\n", [":2: the window starts at 2026-03-03T00:00:00Z"]),
        (GOOD + "10.0.0.1,2026-03-02,2026-03-02,1\n", ["must end later"]),
        (GOOD + "10.0.0.1,,2026-03-02,1\n", [":2: ", "neither window_start nor window_label"]),
        (GOOD + "10.0.0.1,2026-03-02,,1\n", ["no window_end and no time"]),
        (GOOD + "10.0.0.1,soon,2026-03-02,1\n", [":2: 'soon' is not a time"]),
        (GOOD + "10.0.0.1,2026-03-01,2026-03-02,high\n", [":2: the score 'high' is no finite number"]),
        *((GOOD + f"10.0.0.1,2026-03-01,2026-03-02,{x}\n", ["no finite"]) for x in ("nan", "inf", "1_0", "1e999")),
        (GOOD + '10.0.0.1,2026-03-01,2026-03-02,"1\n', [":2: not CSV"]),
        ("host,score,window_end,window_label\n10.0.0.1,1,2026-03-02,w_1d\n", [":2: window_label 'w_1d' is none of"]),
        (ROW + "{\n", [":2: '{' is no JSON object"]),
        (ROW + "[1]\n", [":2: ", "no JSON object"]),
        ("[" + ROW.strip() + "]", [":1: ", "write one per line"]),
        ("\n\n" + ROW + "\n" + ROW + "x\n", [":6: 'x' is no JSON object"]),
        (ROW.replace("0.5", "true"), [":1: score is True"]),
        (ROW.replace("0.5", "[1]"), [":1: score is [1]"]),
        (ROW.replace("0.5", "null"), [":1: there is no score"]),
        (ROW.replace("0.5", "NaN"), ["no finite number"]),
        (ROW.replace("0.5", "1" + "0" * 400), ["no finite number"]),
        (ROW.replace('"2026-03-02T10:00Z"', "1772445600"), [":1: '1772445600' is not a time"]),
        (ROW.replace('"10.0.0.1"', "167772161"), ["is no IP address"]),
        ("[" * 100_000, ["no JSON object"]),
        (ROW.replace("10.0.0.1", "\\u001b[31m"), ["\\x1b[31m", "is no IP address"]),
    ],
)  # fmt: skip
def test_what_is_no_score_is_refused_with_its_line(tmp_path: Path, content: str | bytes, words: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        read_scores(written(tmp_path, content))
    for word in words:
        assert word in str(caught.value), str(caught.value)
    assert "scores.txt" in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="cannot be read: No such file"):
        read_scores(tmp_path / "none.csv")
    with pytest.raises(AdapterError, match="cannot be read"):
        read_scores(tmp_path)
