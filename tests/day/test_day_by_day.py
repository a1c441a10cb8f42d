"""Logs that come in several runs, in any order, end in the lake that one run makes of them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from day.lakes import DAY, START, files, run, write
from day.pasts import some

SILENCE = timedelta(hours=14)


def test_the_time_between_two_runs_is_made_by_the_second(tmp_path: Path) -> None:
    """Windows that had not ended when the first run looked, and a midnight, though no session is in them."""
    first = write(tmp_path / "logs/first.json", some(START + timedelta(hours=8)))
    second = write(tmp_path / "logs/second.json", some(START + timedelta(hours=8) + SILENCE))
    run(tmp_path / "bit-by-bit", first)
    run(tmp_path / "bit-by-bit", second)
    assert run(tmp_path / "bit-by-bit", second)["built"] == {}
    run(tmp_path / "at-once", first, second)
    assert files(tmp_path / "bit-by-bit", "fg_a", "slow_beacons") == files(tmp_path / "at-once", "fg_a", "slow_beacons")
    assert len(files(tmp_path / "at-once", "fg_a")) == SILENCE / timedelta(minutes=15) + 1
    assert DAY > SILENCE
