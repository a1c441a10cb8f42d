"""The comparison of rankings: the same attacks again, days earlier, and tables that say what was measured."""

from __future__ import annotations

import gzip
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from benchmarks.detection.page import BEGIN, END, pages, recorded
from benchmarks.detection.rankings import windows
from benchmarks.detection.worlds import World, logs

ROOT = Path(__file__).resolve().parents[1]


def test_the_same_attacks_happen_again_days_earlier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"hosts": 40, "days": 4, "attack_days": 1, "sessions_per_host_day": 1, "formats": ("palo_alto",)}
    monkeypatch.setattr("benchmarks.detection.worlds.DEMO", small)
    folder, attacks = logs(World("twice", "", (1, 2)), 7, tmp_path)
    wanted = {each["host"]: each for each in json.loads((folder / "logs" / "truth.json").read_text())}
    for back in (1, 2):
        lines = [json.loads(line) for file in sorted((folder / "earlier" / str(back)).rglob("*.gz"))
                 for line in gzip.decompress(file.read_bytes()).splitlines()]  # fmt: skip
        own = [line for line in lines if line["source_ip"] in wanted]
        assert len(lines) == len(own) == sum(each["sessions"] for each in wanted.values())
        for attack in attacks:
            starts = [_moment(line["event_start"]) for line in lines if line["source_ip"] == attack.host]
            assert min(starts) == attack.start - timedelta(days=back)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=None)


def test_windows_of_the_matrix_have_their_lengths() -> None:
    end = datetime(2026, 3, 11)
    rows = pa.table({"host_ip": ["a", "b"], "window_label": ["w_15m", "w_24h"], "window_end_ts": [end, end]})
    found = windows(rows)
    assert found.starts.tolist() == [end - timedelta(minutes=15), end - timedelta(days=1)]
    assert found.ends.tolist() == [end, end]
    assert found.hosts.tolist() == ["a", "b"]
    assert not np.any(found.scores)


def told(recall: float, *delays: float | None) -> dict[str, Any]:
    attacks = [
        {"kind": f"kind{n}", "delay_seconds": delay, "best_place": None if delay is None else n + 1}
        for n, delay in enumerate(delays)
    ]
    figures = dict.fromkeys(("precision_at_10", "average_precision", "roc_auc"), 0.5)
    return {"recall_at_10": recall, **figures, "rows": {"average_precision": 0.25}, "per_attack": attacks,
            "alone": attacks}  # fmt: skip


def test_the_tables_say_what_was_measured() -> None:
    judged = {name: [told(0.5, 600.0, None), told(1.0, 1200.0, 9000.0)] for name in ("failed_cnt", "sum")}
    lines = pages({"after": judged}, "the command", [7, 11]).splitlines()
    assert "| `failed_cnt` alone | 0.75 | 0.50 | 0.50 | 0.50 | 0.25 | 3/4 | 85 min |" in lines
    assert "| kind0 | 2/2, 15 min, 1. | 2/2, 15 min, 1. |" in lines
    assert "| kind1 | 1/2, -, - | 1/2, -, - |" in lines  # half were never found


def test_the_figures_stand_where_they_stood() -> None:
    page = (ROOT / "docs" / "detection.md").read_text(encoding="utf-8")
    assert page.count(BEGIN) == page.count(END) == 1
    once = recorded(page, "of one seed\n")
    assert recorded(once, "of two\n") == once.replace("of one seed\n", "of two\n")
    assert once.startswith(page.partition(BEGIN)[0])
    assert once.endswith(page.partition(END)[2])
