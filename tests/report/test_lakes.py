"""From a lake to a page: what is told is what is stored, little else is read, and a file is whole or not there."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from day.lakes import DAY, HOSTS, MINUTE, QUARTER, Answer, ndr, record, run, text, write, write_config
from day.pasts import BASELINES, METRICS, MONDAY, some
from handmade import T, session
from ndr.cli.lakes import OpenLake, open_lake
from ndr.cli.report import write_report
from ndr.report.findings import Findings, Host
from ndr.report.gathering import gather, scored_ends
from ndr.report.models import model_of
from ndr.summary import host_rows, stored
from ndr.tables.fg_a import fg_a
from ndr.tables.fg_b_host import fg_b_host
from ndr.tables.fg_b_segment import fg_b_segment
from ndr.tables.predictions import predictions
from ndr.time import Interval
from worlds import World

TUESDAY, WEDNESDAY = MONDAY + DAY, MONDAY + 2 * DAY
TEN = timedelta(hours=10)
FLOOD = WEDNESDAY + TEN + 4 * QUARTER
NEWCOMER = "10.1.1.200"
STRANGER = "198.51.100.66"


def flood() -> list[dict[str, Any]]:
    """What the first host did on Wednesday at eleven: a great deal, and with a stranger."""
    return [
        record(FLOOD + n * MINUTE / 4, destination_ip=STRANGER, destination_port=22, source_bytes=5_000_000)
        for n in range(40)
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, Path]]:
    """A lake of two hosts with a calm Tuesday, and a Wednesday on which one is not calm and a third comes."""
    folder = tmp_path_factory.mktemp("report")
    calm = [row for day in (TUESDAY, WEDNESDAY) for row in some(day + TEN, 8)]
    newcomer = some(WEDNESDAY + TEN, 8, source_ip=NEWCOMER)[::2]
    log = write(folder / "log.json", [*calm, *newcomer, *flood()])
    log.write_text(log.read_text(encoding="utf-8") + text([record(FLOOD, source_ip="nobody")]), encoding="utf-8")
    jobs = {
        "fg_b_builder": BASELINES, "fg_c_builder": {"metrics": METRICS}, "inference_predictions": {"alert_share": 0.05},
    }  # fmt: skip
    options = ("--config", write_config(folder / "config.json", jobs=jobs))
    run(folder / "lake", log, *options)
    return folder / "lake", options


@pytest.fixture
def lake(made: tuple[Path, tuple[str, Path]]) -> Iterator[OpenLake]:
    root, (_, config) = made
    options = argparse.Namespace(lake=root, config=config, memory_limit="1GB", threads=2, verbose=False)
    with open_lake(options) as opened:
        yield opened


@pytest.fixture
def findings(lake: OpenLake) -> Findings:
    return gather(lake.shop, "a lake", None, 25, model_of(lake.shop.model, lake.models.folder))


def report(made: tuple[Path, tuple[str, Path]], out: Path, *more: object) -> Answer:
    return ndr("report", "--lake", made[0], *made[1], "--out", out, *more)


def the(findings: Findings, address: str = HOSTS[0]) -> Host:
    (found,) = (host for host in findings.hosts if host.address == address)
    return found


def test_the_period_is_that_of_the_predictions(findings: Findings, lake: OpenLake) -> None:
    ends = scored_ends(lake.shop, None)
    assert findings.period == Interval(ends[0] - QUARTER, ends[-1])
    assert findings.ends[0] == ends[0]
    assert findings.ends[-1] == ends[-1]
    assert len(findings.ends) == (ends[-1] - ends[0]) // QUARTER + 1
    assert findings.windows == len(ends)
    assert (findings.hosts_seen, findings.hosts_alerted, findings.cold_hosts) == (3, len(findings.hosts), 1)
    assert findings.sessions == 16 + 8 + 40, "those of Wednesday"
    assert findings.quality is not None
    assert (findings.quality.read, findings.quality.sessions) == (81, 80)
    assert sum(findings.quality.quarantined.values()) == 1


def test_the_host_that_was_not_calm_comes_first(findings: Findings) -> None:
    first = findings.hosts[0]
    assert first.address == HOSTS[0]
    assert first.anomalous
    assert FLOOD < first.peak <= FLOOD + DAY
    assert first.first is not None
    assert first.last is not None
    assert first.first <= FLOOD < first.last
    assert first.source == "host"
    assert {each.metric for each in first.deviations} <= {
        "sessions_cnt",
        "bytes_src_sum",
        "in_sessions_cnt",
        "in_bytes_src_sum",
    }
    amounts = [each.amount for each in first.contributions if each.amount is not None]
    assert sum(amounts) == pytest.approx(first.evidence, abs=1e-9)


def test_a_line_is_what_was_stored_and_silence_is_a_gap(findings: Findings, lake: OpenLake) -> None:
    host = the(findings)
    rows = host_rows(fg_a, lake.shop, HOSTS[0], findings.period, 10_000)
    short = {row["window_end_ts"]: row for row in rows if row["window_label"] == "w_15m"}
    assert host.lines
    for line in host.lines:
        assert line.values == tuple(short[end][line.metric] if end in short else None for end in findings.ends)
        assert None in line.values
        assert max(value for value in line.values if value is not None) == max(r[line.metric] for r in short.values())


def test_a_band_is_the_hosts_own_baseline_of_that_part_of_the_week(findings: Findings, lake: OpenLake) -> None:
    (published,) = findings.baselines
    assert published.publication.reference == WEDNESDAY
    rows = host_rows(fg_b_host, lake.shop, HOSTS[0], None, 1000)
    working = next(r for r in rows if (r["window_label"], r["time_band"]) == ("w_15m", "WD_WORKING"))
    at = findings.ends.index(FLOOD + QUARTER)
    for line in the(findings).lines:
        told = (line.low[at], line.median[at], line.high[at], line.ceiling[at])
        assert told == tuple(working[f"{line.metric}_{name}"] for name in ("p25", "median", "p75", "p95"))
        assert None not in told
    night = [n for n, end in enumerate(findings.ends) if end - QUARTER >= WEDNESDAY + timedelta(hours=22)]
    bands = {r["time_band"] for r in rows if r["window_label"] == "w_15m"}
    assert ("WD_NIGHT" in bands) or all(line.median[n] is None for line in the(findings).lines for n in night)


def test_evidence_and_alarms_are_the_greatest_of_each_quarter_hour(findings: Findings, lake: OpenLake) -> None:
    host = the(findings)
    rows = host_rows(predictions, lake.shop, HOSTS[0], findings.period, 10_000)
    for end, evidence, alarm in zip(findings.ends, host.course, host.alarms, strict=True):
        own = [row for row in rows if row["window_end_ts"] == end]
        assert evidence == max((row["evidence"] for row in own), default=None)
        assert alarm is any(row["prediction_label"] == "anomalous" for row in own)
    assert host.windows == sum(host.alarms) > 0
    best = max(rows, key=lambda row: row["evidence"])
    assert (host.evidence, host.peak) == (best["evidence"], best["window_end_ts"])


def test_the_stranger_is_told_as_a_pair_that_was_never_met(findings: Findings) -> None:
    first, *others = the(findings).peers
    assert (first.address, first.pairs, first.ports, first.fresh, first.rare) == (STRANGER, 1, (22,), 1, True)
    assert (first.sessions, first.sent, first.received) == (40, 40 * 5_000_000, 40 * 50)
    assert all(peer.seen and not peer.fresh for peer in others)
    assert (the(findings).pairs, the(findings).new_pairs, the(findings).all_peers) == (
        1 + len(others),
        1,
        1 + len(others),
    )


def test_the_model_is_told_with_what_it_learned_from(findings: Findings, lake: OpenLake) -> None:
    assert findings.model is not None
    assert lake.shop.model is not None
    assert findings.model.version == lake.shop.model.version
    assert re.fullmatch(r"\d+ windows of 3 hosts", findings.model.facts["Trained on"])


def test_a_part_of_the_period_and_fewer_hosts(lake: OpenLake) -> None:
    calm = gather(lake.shop, "a lake", Interval(WEDNESDAY + TEN, FLOOD), 1, None)
    assert (calm.hosts_alerted, len(calm.hosts)) == (0, 1), "before eleven it was quiet: the nearest host is told"
    assert not calm.hosts[0].anomalous
    assert calm.ends == tuple(WEDNESDAY + TEN + n * QUARTER for n in range(1, 5))
    nothing = gather(lake.shop, "a lake", Interval(MONDAY, MONDAY + DAY), 5, None)
    assert (nothing.hosts, nothing.windows) == ((), 0)


def test_a_cold_host_is_held_against_its_segment(lake: OpenLake) -> None:
    calm = gather(lake.shop, "a lake", Interval(WEDNESDAY + TEN, FLOOD), 3, None)
    cold = the(calm, NEWCOMER)
    assert (cold.cold, cold.source, cold.segment) == (True, "segment", "10.1.1.0/24")
    rows = host_rows(fg_b_segment, lake.shop, None, None, 1000)
    usual = next(
        r for r in rows if (r["segment_id"], r["window_label"], r["time_band"]) == (cold.segment, "w_15m", "WD_WORKING")
    )
    for line in cold.lines:
        assert line.median == (usual[f"{line.metric}_median"],) * 4
    (peer,) = cold.peers
    assert (peer.address, peer.fresh, peer.seen) == ("203.0.113.5", 0, 16), "its segment knows the peer"


def test_what_is_lacking_is_told_where_nothing_is_scored(lake: OpenLake) -> None:
    bare = gather(replace(lake.shop, in_force=lambda: None), "a lake", None, 5, None)
    assert (bare.period, bare.hosts) == (None, ())
    assert bare.lacking == (
        "no model is in force: the one that scored this lake is gone or no longer fits its features; "
        "ndr run trains another and scores again"
    )


def test_only_what_is_shown_is_read(lake: OpenLake, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    fetch = lake.shop.engine.fetch

    def watched(query: str, inputs: Any) -> Any:
        read.extend(path for files in inputs.values() for path in getattr(files, "paths", ()))
        return fetch(query, inputs)

    monkeypatch.setattr(type(lake.shop.engine), "fetch", staticmethod(watched))
    gather(lake.shop, "a lake", Interval(WEDNESDAY + TEN, FLOOD), 1, None)
    assert read
    assert not any("/sessions/" in path or "/fg_c/" in path for path in read)
    assert set(stored(fg_a, lake.shop).paths) - set(read), "behaviour of other times is left alone"


def test_the_command_writes_a_page_and_the_same_one_again(made: tuple[Path, tuple[str, Path]], tmp_path: Path) -> None:
    answer = report(made, tmp_path / "new" / "page.html")
    assert (answer.code, answer.out) == (0, f"{tmp_path / 'new' / 'page.html'}\n"), answer.err
    first = (tmp_path / "new" / "page.html").read_bytes()
    assert HOSTS[0].encode() in first
    assert f"ndr explain {HOSTS[0]} --at".encode() in first
    assert report(made, tmp_path / "again.html").code == 0
    assert (tmp_path / "again.html").read_bytes() == first
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["page.html"], "no draft is left"


def test_the_page_of_a_lake_opens_in_peace(made: tuple[Path, tuple[str, Path]], tmp_path: Path, opened: Any) -> None:
    assert report(made, tmp_path / "page.html", "--hosts", "1").code == 0
    view = opened(tmp_path / "page.html", 320)
    assert view.ranks() == [1]
    assert view.overflow() <= 0
    assert "seen in" not in view.page.locator("#host-1 .peers").inner_text()
    assert STRANGER in view.page.locator("#host-1 .peers").inner_text()


def test_a_lake_without_baselines_tells_why_nothing_is_scored(tmp_path: Path) -> None:
    world = World(tmp_path / "lake")
    world.put([session() | {"batch_end_ts": T, "mini_batch_id": None}])
    world.close()
    answer = ndr("report", "--lake", tmp_path / "lake", "--out", tmp_path / "page.html")
    assert answer.code == 0, answer.err
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "No host was scored yet: baselines need 9 days of logs, you have 1" in page
    half = ndr("report", "--lake", tmp_path / "lake", "--out", tmp_path / "page.html", "--from", "2026-03-01")
    assert (half.code, half.out) == (2, "")
    assert "has no predictions yet, so give both --from and --to" in half.err


@pytest.mark.parametrize(
    ("place", "more", "code", "told"),
    [
        ("", (), 2, "is a folder; give --out the name of a file"),
        ("file/page.html", (), 3, "cannot be written"),
        ("page.html", ("--hosts", "0"), 2, "--hosts"),
        ("page.html", ("--from", "yesterday"), 2, "is not a time"),
        ("page.html", ("--from", "2026-03-05", "--to", "2026-03-04"), 2, "is empty"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    made: tuple[Path, tuple[str, Path]], tmp_path: Path, place: str, more: tuple[str, ...], code: int, told: str
) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    answer = report(made, tmp_path / place, *more)
    assert (answer.code, answer.out) == (code, "")
    assert told in answer.err
    assert "Traceback" not in answer.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_a_page_that_is_there_stays_when_the_next_cannot_be_written(
    lake: OpenLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "page.html"
    write_report(lake, out)
    before = out.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ndr.cli.report.os.fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        write_report(lake, out)
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
