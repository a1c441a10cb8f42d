"""Small runs that between them take every kind of step: for each, what is there before, and the commands."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from day.lakes import DAY, MINUTE, QUARTER, START, hour, ndr, record, text, write, write_config

Commands = list[list[str]]
Scenario = tuple[Callable[[Path], None], Callable[[Path, Path], Commands]]


def _run(lake: Path, *paths: Path, batch: tuple[str, int, int] | None = None) -> list[str]:
    named = []
    if batch:
        name, first, last = batch
        start, end = (f"{(START + quarters * QUARTER).isoformat()}Z" for quarters in (first, last))
        named = ["--mini-batch-id", name, "--batch-start", start, "--batch-end", end]
    return ["run", *map(str, paths), "--lake", str(lake), "--no-warmup", "--format", "json", "--threads", "2", *named]


def _must(command: list[str]) -> None:
    answer = ndr(*command)
    if answer.code:
        raise AssertionError(answer.err)


def _first_logs(folder: Path) -> None:
    rows = hour(12)
    write(folder / "logs/a.json", rows[:7])
    b = write(folder / "logs/b.json", rows[5:])
    b.write_text(b.read_text(encoding="utf-8") + '{"source_ip": "nobody"}\n', encoding="utf-8")
    write(folder / "logs/copy-of-a.json", rows[:7])


def _first(folder: Path, lake: Path) -> Commands:
    return [_run(lake, folder / "logs")]


def _cut_log(folder: Path) -> None:
    """A log that was imported while its last line was being written, one bad line before that."""
    whole = text(hour(12)[:2]) + "not a session\n" + text(hour(12)[2:7])
    (folder / "grow.json").write_text(whole[:-30], encoding="utf-8")
    _must(_run(folder / "prepared", folder / "grow.json"))
    (folder / "grow.json").write_text(whole + text(hour(12)[7:]), encoding="utf-8")


def _grown(folder: Path, lake: Path) -> Commands:
    return [_run(lake, folder / "grow.json")]


def _batches(folder: Path) -> None:
    """A named batch with late sessions; then others come in its place, and a name for a quarter hour without one."""
    write(folder / "plain.json", [record(START + k * QUARTER + MINUTE) for k in range(3)])
    write(folder / "late.json", [record(START + k * MINUTE, destination_port=22) for k in (2, 16, 50)])
    _must(_run(folder / "prepared", folder / "plain.json"))
    _must(_run(folder / "prepared", folder / "late.json", batch=("LATE", 3, 4)))
    write(folder / "late.json", [record(START + k * MINUTE, destination_port=23) for k in (2, 50)])
    write(folder / "named.json", [record(START + 40 * MINUTE, destination_port=445)])


def _replaced(folder: Path, lake: Path) -> Commands:
    return [
        _run(lake, folder / "late.json", batch=("LATE", 3, 4)),
        _run(lake, folder / "named.json", batch=("NAMED", 2, 3)),
    ]


MIDNIGHT = START.replace(hour=0) + 2 * DAY


def _days(folder: Path) -> None:
    """Sessions of two days before; the second configuration has nothing built yet."""
    write(folder / "logs/old.json", [record(MIDNIGHT - DAY - k * QUARTER - MINUTE) for k in (0, 0, 1)])
    write(folder / "logs/new.json", [record(MIDNIGHT + k * MINUTE) for k in (1, 2, 17)])
    write_config(folder / "second.json", feature_spec_version="2")
    _must(_run(folder / "prepared", folder / "logs"))


def _history(folder: Path, lake: Path) -> Commands:
    span = ["--from", MIDNIGHT.isoformat(), "--to", (MIDNIGHT + timedelta(minutes=30)).isoformat()]
    return [["build", "fg_a", *span, "--lake", str(lake), "--config", str(folder / "second.json"), "--threads", "2"]]


SCENARIOS: dict[str, Scenario] = {
    "first": (_first_logs, _first),
    "grown": (_cut_log, _grown),
    "replaced": (_batches, _replaced),
    "history": (_days, _history),
}
