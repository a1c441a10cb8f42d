"""Scores through the command line: a model that makes itself, the same bytes again, and what a damaged one comes to."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from day.lakes import DAY, files, ndr, run, write
from day.pasts import MONDAY, configured, some
from ndr.model.matrix import KEYS
from ndr.news import plan_scores
from ndr.plan import Planner
from ndr.run import run as run_steps
from ndr.scoring import training_matrix
from ndr.specs import load_config
from ndr.table import PartKey
from ndr.tables import TABLES
from ndr.tables.predictions import predictions
from ndr.time import Interval
from worlds import World

TUESDAY = MONDAY + DAY
FLOOD = some(TUESDAY + DAY / 24, source_bytes=5_000_000, destination_ip="203.0.113.77")[:1]
FEATURES = ["sessions_cnt_z_mad_clipped", "bytes_src_sum_z_mad_clipped", "new_pair_cnt", "pair_rarity_max"]
Past = tuple[Path, tuple[str, Path], dict[str, Any]]


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Past:
    """A lake with a Monday and a flood on Tuesday, run once; its configuration; the summary of the run."""
    folder = tmp_path_factory.mktemp("scored")
    _, config = configured(folder, horizons=["1d"], safety_gaps={"1d": {"tail_days": 1}})
    options = ("--config", config)
    log = write(folder / "logs/all.json", [*some(MONDAY, 96, 3), *some(TUESDAY - DAY / 24, 8), *FLOOD])
    return folder, options, run(folder / "lake", log, "--warmup", *options)


@pytest.fixture
def lake(past: Past, tmp_path: Path) -> Path:
    return Path(shutil.copytree(past[0] / "lake", tmp_path / "lake"))


def predicted(lake: Path) -> list[Path]:
    return sorted((lake / "predictions").rglob("*.parquet"))


def test_a_run_ends_in_a_model_alerts_and_a_report(past: Past) -> None:
    folder, _, summary = past
    assert summary["model"]["trained"] is True
    assert summary["tables"]["predictions"] == summary["tables"]["fg_c"] > 100
    first = summary["alerts"][0]
    assert first["host_ip"] == FLOOD[0]["source_ip"]
    assert first["top_deviations"][0]["metric"] == "bytes_src_sum"
    assert Path(summary["report"]).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert (folder / "lake/models/in_force.json").is_file()


def test_training_sees_the_very_rows_that_are_scored(past: Past, lake: Path) -> None:
    """The matrix a model is trained on equals the batches it is given to judge, value by value."""
    world = World(lake, load_config(past[1][1]))
    trained_on = training_matrix(world.shop, None, 10**6)
    seen: list[pa.RecordBatch] = []

    class Witness:
        name, version, features = "isolation_forest", "witness", ()

        def judge(self, rows: pa.RecordBatch) -> pa.RecordBatch:
            seen.append(rows)
            model = world.models.in_force()
            assert model is not None
            return model.judge(rows)

    shop = type(world.shop)(**{**vars(world.shop), "in_force": Witness})
    run_steps(plan_scores(shop, None), shop)
    world.close()
    order = [(key, "ascending") for key in KEYS]
    scored = pa.Table.from_batches(seen)
    assert scored.num_rows > 100
    assert scored.select(trained_on.column_names).sort_by(order).equals(trained_on.sort_by(order))


def test_training_again_gives_the_same_bytes(past: Past, lake: Path) -> None:
    before = files(lake)
    assert ndr("train", "--lake", lake, *past[1]).code == 0
    assert files(lake) == before


def test_a_replay_gives_the_same_rows(past: Past, lake: Path) -> None:
    """Also when the quarter hours are scored one at a time, in another order."""
    before, lost = files(lake, "predictions"), predicted(lake)
    assert len(lost) > 20
    for path in lost:
        path.unlink()
    middle = "2026-03-02T12:00:00Z"
    for interval in (("--from", middle), ("--to", middle), ()):
        assert ndr("score", "--lake", lake, *interval, *past[1]).code == 0
    assert files(lake, "predictions") == before
    assert "has scored everything" in ndr("score", "--lake", lake, *past[1]).out


def test_another_model_scores_everything_beside_the_old_one(past: Past, lake: Path) -> None:
    before = files(lake, "predictions")
    made = ndr("train", "--lake", lake, "--max-rows", "60", "--format", "json", *past[1]).data
    assert made["rows"] <= 60
    assert ndr("score", "--lake", lake, *past[1]).code == 0
    after = files(lake, "predictions")
    assert before.items() < after.items()
    fresh = {place for place in after if f"model_version={made['model_version']}/" in place}
    assert len(fresh) == len(before)
    told = ndr("show", "predictions", "--lake", lake, "--host", FLOOD[0]["source_ip"], "--format", "json", *past[1])
    assert {row["model_version"] for row in told.data} == {made["model_version"]}


def test_what_cannot_be_judged_any_more_is_gone_by_whichever_model(past: Past, lake: Path) -> None:
    world = World(lake, load_config(past[1][1]))
    assert world.shop.model is not None
    known = next(part for part in world.ledger.parts("predictions", "1") if part.path)
    lost = PartKey(MONDAY - 9 * DAY, MONDAY - 9 * DAY + DAY / 96, "another")
    others = [replace(known, key=key, path="") for key in (replace(known.key, horizon="another"), lost)]
    world.ledger.commit(others, [], {})
    trusted = [table for table in TABLES.values() if table is not predictions]
    planner = Planner(world.shop.config, world.ledger, world.lake, trusted, world.shop.model.version)
    steps = planner.plan([predictions], Interval(MONDAY - 10 * DAY, TUESDAY + DAY))
    world.close()
    assert [part.key for step in steps for part in step.gone] == [lost]
    assert not any(step.ids for step in steps)


def test_what_a_score_is_made_of_adds_up(lake: Path) -> None:
    rows = [row for path in predicted(lake) for row in pq.ParquetFile(path).read().to_pylist()]
    assert max(row["evidence"] for row in rows) > 3
    for row in rows:
        kinds = [value or 0.0 for name, value in row.items() if name.startswith("evidence_")]
        assert sum(kinds) == pytest.approx(row["evidence"], abs=1e-9)
        assert sum(each["contribution"] for each in row["explanation"]) == pytest.approx(row["evidence"], abs=1e-9)
        assert 0 <= row["prediction_score"] < 1
        assert row["inference_ts"] == row["window_end_ts"]
        assert row["prediction_label"] == ("anomalous" if row["prediction_score"] >= 1 - 0.0005 else "normal")


def test_joined_predictions_stand_beside_all_their_features(past: Past, lake: Path) -> None:
    assert ndr("build", "prediction_feature_join", "--lake", lake, *past[1]).code == 0
    joined = pa.concat_tables(
        pq.read_table(path, partitioning=None) for path in sorted(lake.glob("prediction_feature_join/**/*.parquet"))
    )
    own = pa.concat_tables(pq.ParquetFile(path).read() for path in predicted(lake))
    order = [(key, "ascending") for key in KEYS]
    assert joined.select(own.column_names).sort_by(order).equals(own.sort_by(order))
    assert pc.all(pc.is_valid(joined["sessions_cnt"])).as_py()
    assert joined["bytes_src_sum_z_mad"].null_count < joined.num_rows
    assert set(predictions.columns) <= {*joined.column_names, "feature_spec_version", "model_version"}


def test_a_damaged_model_scores_nothing_and_says_so(past: Past, lake: Path) -> None:
    manifest = next(lake.glob("models/*/*/manifest.json"))
    told = json.loads(manifest.read_text())
    told["max_samples"] += 1
    manifest.write_text(json.dumps(told))
    for command in (("score",), ("alerts",)):
        answer = ndr(*command, "--lake", lake, *past[1])
        assert answer.code == 3
        assert "manifest.json cannot be trusted" in answer.err
        assert "ndr train" in answer.err
    assert ndr("train", "--lake", lake, *past[1]).code == 0
    assert ndr("score", "--lake", lake, *past[1]).code == 0


def test_a_model_of_other_features_is_replaced_or_where_it_was_named_refused(
    past: Past, lake: Path, tmp_path: Path
) -> None:
    told = json.loads(Path(past[1][1]).read_text())
    told["jobs"]["fg_c_builder"]["z_max"] = 5.0
    other = tmp_path / "other.json"
    other.write_text(json.dumps(told))
    log = past[0] / "logs/all.json"
    summary = run(lake, log, "--config", other)
    assert summary["model"]["trained"] is True
    assert summary["model"]["version"] != past[2]["model"]["version"]
    assert summary["tables"]["predictions"] == summary["tables"]["fg_c"], "the old model's do not count"
    old = lake / "models/isolation_forest" / past[2]["model"]["version"]
    told["jobs"]["inference_predictions"] = {"model": {"model_uri": str(old)}}
    other.write_text(json.dumps(told))
    answer = ndr("score", "--lake", lake, "--config", other)
    assert answer.code == 3
    assert "was trained on features of another configuration" in answer.err


def test_there_is_nothing_to_score_with_before_there_is_a_model(past: Past, tmp_path: Path) -> None:
    run(tmp_path / "cold", past[0] / "logs/all.json", *past[1])
    answer = ndr("score", "--lake", tmp_path / "cold", *past[1])
    assert answer.code == 3
    assert "there is no model in force" in answer.err
    answer = ndr("train", "--lake", tmp_path / "cold", *past[1])
    assert answer.code == 3
    assert "baselines come first" in answer.err


def test_a_model_can_look_at_chosen_features(past: Past, lake: Path, tmp_path: Path) -> None:
    told = json.loads(Path(past[1][1]).read_text())
    told["jobs"]["inference_predictions"] = {"payload": {"feature_columns": FEATURES}, "alert_share": 0.05}
    chosen = tmp_path / "chosen.json"
    chosen.write_text(json.dumps(told))
    assert "there is no model in force" in ndr("score", "--lake", lake, "--config", chosen).err
    made = ndr("train", "--lake", lake, "--config", chosen, "--format", "json").data
    assert set(made["constant_features"]) <= set(FEATURES)
    assert ndr("score", "--lake", lake, "--config", chosen).code == 0
    rows = ndr("show", "predictions", "--lake", lake, "--config", chosen, "--limit", "5000", "--format", "json").data
    features = {each["feature"] for row in rows for each in row["explanation"]}
    assert "other_features" in features
    assert {row["prediction_label"] for row in rows if row["prediction_score"] >= 0.95} == {"anomalous"}


def test_what_is_compared_with_remade_baselines_is_scored_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However far behind the news that is: also when the run ends between the deviations and the scores."""
    options = configured(tmp_path, horizons=["1d"])
    lake, log = tmp_path / "lake", write(tmp_path / "logs/all.json", [*some(MONDAY, 96), *some(TUESDAY, 32)])
    assert run(lake, log, *options)["tables"]["predictions"] > 100
    monkeypatch.setattr("ndr.news._AFTERMATH", DAY / 4)
    late = write(tmp_path / "logs/late.json", some(MONDAY + DAY / 24, 3, source_bytes=70_000))
    with monkeypatch.context() as killed:
        killed.setattr("ndr.cli.running.armed", _stop)
        assert ndr("run", late, "--lake", lake, *options).code == 130
    assert run(lake, late, *options)["built"]["predictions"] > 20
    world = World(lake, load_config(options[1]))
    left = plan_scores(world.shop, None)
    world.close()
    assert left == []


def _stop(_: object) -> None:
    raise KeyboardInterrupt


def test_a_model_of_provisional_baselines_is_replaced_after_a_day_of_regular_ones(
    past: Past, lake: Path, tmp_path: Path
) -> None:
    known = run(lake, past[0] / "logs/all.json", *past[1])["model"]
    assert known["trained"] is False
    early = write(tmp_path / "early.json", some(TUESDAY + 4 * DAY / 96, 120, 3))
    assert run(lake, early, *past[1])["model"]["version"] == known["version"], "regular ones serve, not yet for a day"
    late = write(tmp_path / "late.json", some(TUESDAY + 2 * DAY, 8))
    grown = run(lake, late, *past[1])["model"]
    assert grown["trained"] is True
    manifest = json.loads((lake / "models/isolation_forest" / grown["version"] / "manifest.json").read_text())
    assert manifest["inputs"]["baselines"] == "regular"
    assert manifest["training"]["first_window_end"] > "2026-03-04T00:00:00Z"
    assert run(lake, late, *past[1])["model"] == {**grown, "trained": False, "told": f"model {grown['version']}"}
