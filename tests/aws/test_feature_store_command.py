"""``ndr feature-store`` with rows that were really built: every row is one record, whatever is sent again."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from standins.credentials import environment
from standins.feature_store import Faults, Store, feature_store
from standins.s3 import client, make_bucket

from day.lakes import DAY, Answer, ndr, run, write
from day.pasts import BASELINES, METRICS, MONDAY, some
from day.pasts import stored as stored_rows
from ndr.table import Table
from ndr.tables import TABLES
from ndr.tables.feature_groups import STORED

TABLE_OF = {f"ndr-soc-{table}": TABLES[table] for table in STORED}
MIDNIGHT = MONDAY + 2 * DAY
LAST = ("--from", (MIDNIGHT - DAY / 12).isoformat(), "--to", (MIDNIGHT + DAY / 48).isoformat())
"""The last windows, before and after the baselines of both horizons come into force."""
FAST = {"backoff_seconds": 0.002, "records_per_second": 50_000, "max_workers": 8}


def configuration(path: Path, **values: Any) -> Path:
    baselines = BASELINES | {"schedule": "monthly", "safety_gaps": {"1d": {"tail_days": 0}, "2d": {"tail_days": 0}}}
    jobs = {
        "fg_b_builder": baselines, "fg_c_builder": {"metrics": METRICS}, "feature_store_ingest": FAST | values,
    }  # fmt: skip
    path.write_text(json.dumps({"project_name": "soc", "jobs": jobs}), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with two days of a few sessions, and deviations of its last windows from two horizons."""
    folder = tmp_path_factory.mktemp("features")
    log = write(folder / "logs.json", [*some(MONDAY, 2 * 96, 96), *some(MIDNIGHT, 2)])
    run(folder / "lake", log, "--config", configuration(folder / "config.json"))
    return folder / "lake"


@pytest.fixture
def store(nowhere: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A service without feature groups, which the environment leads to."""
    with feature_store() as made:
        known = environment(sagemaker=made.url, sagemaker_featurestore_runtime=made.url)
        for name, value in known.items():
            monkeypatch.setenv(name, value)
        yield made


def sent(lake: Path, config: Path, *arguments: object, code: int = 0) -> Any:
    answer = ndr("feature-store", "ingest", "--lake", lake, "--config", config, "--format", "json", *arguments)
    assert answer.code == code, answer.err
    return answer.data


def made(config: Path, *arguments: object) -> Answer:
    answer = ndr("feature-store", "create", "--config", config, "--format", "json", *arguments)
    assert answer.code == 0, answer.err
    return answer


def keys(lake: Path, table: Table) -> list[tuple[Any, ...]]:
    """The keys of the rows of the last windows of a table, with the horizon that only the path holds."""
    rows = []
    for path in sorted((lake / table.name).rglob("*.parquet")):
        fixed = dict(step.split("=") for step in path.relative_to(lake).parts[1:-1])
        for row in pq.ParquetFile(path).read([k for k in table.keys if k not in fixed]).to_pylist():
            told = row | fixed
            rows += [tuple(told[key] for key in table.keys)] if row["window_end_ts"] > MIDNIGHT - DAY / 12 else []
    return rows


def test_every_row_of_a_lake_is_one_record(built: Path, store: Store, tmp_path: Path) -> None:
    config = configuration(tmp_path / "config.json", records_per_call=10)
    made(config)
    told = sent(built, config, *LAST)
    assert {row["table"] for row in told} == set(STORED)
    for group, table in TABLE_OF.items():
        rows = keys(built, table)
        assert len(set(rows)) == len(rows) > 20
        assert len(store.of(group)) == len(rows)
        assert Counter(key for name, key, _ in store.puts if name == group).most_common(1)[0][1] == 1
        assert next(row["sent"] for row in told if row["table"] == table.name) == len(rows)
    assert not (built / "feature_store.failed.jsonl").exists()


def test_both_horizons_of_a_window_are_records_of_their_own(built: Path, store: Store, tmp_path: Path) -> None:
    """``record_id`` alone would let the one take the place of the other."""
    config = configuration(tmp_path / "config.json", feature_groups={"fg_c": "deviations"})
    made(config)
    sent(built, config, *LAST)
    by_id: dict[str, set[str]] = {}
    for key, record in store.of("deviations").items():
        by_id.setdefault(record["record_id"], set()).add(record["baseline_horizon"])
        assert key == record["record_key"] == f"{record['record_id']}|{record['baseline_horizon']}"
    assert {"1d", "2d"} in by_id.values()


def test_what_a_record_says_is_what_the_row_says(built: Path, store: Store, tmp_path: Path) -> None:
    config = configuration(tmp_path / "config.json")
    made(config, "--group", "fg_a")
    sent(built, config, "--group", "fg_a", *LAST)
    columns = (
        "record_id",
        "window_end_ts",
        "sessions_cnt",
        "bytes_src_sum",
        "deny_ratio",
        "duration_mean",
        "is_weekend",
        "time_band",
    )
    found = store.of("ndr-soc-fg_a")
    last = [row for row in stored_rows(built, "fg_a", *columns) if row["window_end_ts"] > MIDNIGHT - DAY / 12]
    assert len(last) == len(found) > 20
    for row in last:
        record = found[row["record_id"]]
        assert record["record_id"].endswith(record["window_end_ts"])
        for name in ("sessions_cnt", "bytes_src_sum", "is_weekend"):
            assert int(record[name]) == row[name]
        for name in ("deny_ratio", "duration_mean"):
            assert (float(record[name]) if name in record else None) == row[name]


def test_sending_again_changes_nothing(built: Path, store: Store, tmp_path: Path) -> None:
    config = configuration(tmp_path / "config.json", feature_groups={"predictions": "scores"})
    made(config)
    sent(built, config, *LAST)
    before = store.of("scores")
    sent(built, config, *LAST)
    assert store.of("scores") == before


def test_an_interval_is_sent_alone(built: Path, store: Store, tmp_path: Path) -> None:
    config = configuration(tmp_path / "config.json")
    made(config, "--group", "fg_a")
    bounds = ("--from", "2026-03-03T10:00", "--to", "2026-03-03T10:30", "--group", "fg_a")
    (counted,) = sent(built, config, *bounds, "--dry-run")
    assert not store.puts
    (told,) = sent(built, config, *bounds)
    ends = {record["window_end_ts"] for record in store.of("ndr-soc-fg_a").values()}
    assert ends == {"2026-03-03T10:15:00Z", "2026-03-03T10:30:00Z"}
    assert told["sent"] == counted["rows"] == len(store.of("ndr-soc-fg_a")) > 0


def test_failed_records_are_kept_and_can_be_sent_again(built: Path, store: Store, tmp_path: Path) -> None:
    lake = Path(shutil.copytree(built, tmp_path / "lake"))
    config = configuration(tmp_path / "config.json", feature_groups={"predictions": "scores"})
    made(config)
    bad = min(row["record_id"] for row in stored_rows(lake, "predictions", "record_id"))
    store.faults = Faults(throttled=0.1, lost_after=0.1, refused=frozenset([bad]))
    (told,) = sent(lake, config, code=4)
    failed = lake / "feature_store.failed.jsonl"
    assert told["failed"] == 1
    assert json.loads(failed.read_text(encoding="utf-8"))["identifier"] == bad
    store.faults = Faults()
    again = ndr("feature-store", "ingest", "--retry-failed", failed, "--config", config, "--format", "json")
    assert (again.code, again.data[0]["sent"], again.data[0]["failed"]) == (0, 1, 0)
    assert len(store.of("scores")) == told["sent"] + 1
    assert failed.stat().st_size == 0


def test_both_stores_get_every_row_once(
    built: Path, store: Store, moto_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto_server)
    bucket = make_bucket(moto_server, "features-of-a-command")
    config = configuration(
        tmp_path / "config.json", stores=["online", "offline"], feature_groups={"fg_c": "deviations"},
        offline_s3_prefix=f"s3://{bucket}/offline", role_arn="arn:aws:iam::123456789012:role/feature-store",
    )  # fmt: skip
    made(config)
    for _ in range(2):
        online, offline = sent(built, config, *LAST)
    s3 = client(moto_server)
    found = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    for number, key in enumerate(found):
        s3.download_file(bucket, key, str(tmp_path / f"{number}.parquet"))
    s3.close()
    offline_keys = [
        key
        for n in range(len(found))
        for key in pq.ParquetFile(tmp_path / f"{n}.parquet").read(["record_key"])[0].to_pylist()
    ]
    assert sorted(offline_keys) == sorted(store.of("deviations"))
    assert online["sent"] == offline["sent"] == len(offline_keys)


def test_create_and_diff_tell_what_they_find(store: Store, tmp_path: Path) -> None:
    config = configuration(tmp_path / "config.json", feature_groups={"predictions": "scores"})
    compare = ("feature-store", "diff", "--config", config, "--format", "json")
    before = ndr(*compare)
    assert (before.code, before.data[0]["what"]) == (1, "feature group")
    (asked,) = made(config, "--dry-run").data
    assert asked["FeatureGroupName"] == "scores"
    assert "CreateFeatureGroup" not in store.calls
    assert [made(config).data[0]["outcome"] for _ in range(2)] == ["created", "unchanged"]
    after = ndr(*compare)
    assert (after.code, after.data) == (0, [])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ingest"], "give --lake"),
        (["ingest", "--lake", "x", "--retry-failed", "y"], "leave --lake"),
        (["ingest", "--retry-failed", "no-such-file"], "there is no file"),
        (["create", "--project-name", "soc"], "--feature-spec-version"),
        (["create", "--config", "c", "--project-name", "soc", "--feature-spec-version", "1"], "give --config FILE, or"),
        (["ingest", "--group", "delta", "--lake", "x"], "invalid choice"),
    ],
)
def test_what_cannot_be_meant_is_told(nowhere: None, arguments: list[str], said: str) -> None:
    answer = ndr("feature-store", *arguments)
    assert answer.code in {2, 3}
    assert said in answer.err
    assert "Traceback" not in answer.err


def test_a_lake_whose_group_is_missing_says_what_to_do(built: Path, store: Store, tmp_path: Path) -> None:
    answer = ndr("feature-store", "ingest", "--lake", built, "--config", configuration(tmp_path / "c.json"))
    assert answer.code == 3
    assert "ndr feature-store create makes it" in answer.err
