"""The demo of an account, in a small size: every pipeline from an empty account, and nothing doubled by a replay."""

from __future__ import annotations

from pathlib import Path

import pytest
from standins import demo
from standins.specs import specs

from aws.recorded import beyond, recorded
from ndr.jobs import JOBS, PIPELINES
from ndr.specs import config_of


def test_an_empty_account_comes_to_scored_batches_in_every_system(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    execute = demo.execute

    def noted(name: str, **parameters: str) -> list[demo.Done]:
        done = execute(name, **parameters)
        started.extend(step.name for step in done)
        return done

    monkeypatch.setattr(demo, "execute", noted)
    with recorded(monkeypatch) as calls:
        found = demo.run(tmp_path, hosts=6, days=2, batches=1)
    assert set(calls) == set(started)
    assert beyond(calls, config_of(specs())) == {}, "jobs ask for what their roles may not do"
    assert set(started) == {job for each in PIPELINES.values() for job in each.jobs}
    assert set(JOBS) - set(started) == {"project_parameters", "non_persistent_prefixes"}, "these make nothing"
    assert found["redshift"] > 0
    assert set(found["features"].values()) == {found["redshift"]}, "a record for each joined row"
    assert any(key.endswith("_SUCCESS") for key in found["inventory"])
    assert {"delta", "pair_counts", "fg_a", "fg_b", "fg_c", "predictions", "models", "sessions"} <= set(found["lake"])
    out = capsys.readouterr().out
    assert all(
        place in out for place in ("s3://ndr-demo/lake/predictions/", "Redshift ml.scored_windows", "feature group")
    )
