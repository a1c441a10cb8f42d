"""``make demo-aws``: from an empty account to scored batches, on stand-ins only, and where each result lies."""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, redirect_stderr, redirect_stdout
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ndr.aws.clients import client
from ndr.aws.pipelines import pipeline_name
from ndr.cli import main
from ndr.jobs import PIPELINES
from ndr.sources.imports import Batch
from ndr.time import iso
from standins.account import Account, account, deploy
from standins.batches import delivered
from standins.pipelines import Done, execute
from standins.specs import BUCKET, MACHINES, PROJECT, RESULTS, TABLE, VERSION, specs

HOSTS, DAYS, BATCHES = 8, 2, 3


class DemoError(RuntimeError):
    """A command of the demo failed; its message says which."""


def run(folder: Path, *, hosts: int = HOSTS, days: int = DAYS, batches: int = BATCHES) -> dict[str, Any]:
    """Everything that the demo does, in a folder of its own; what came of it, by place."""
    config = folder / "specs.json"
    config.write_text(json.dumps(specs(), indent=1))
    _ndr("simulate", folder / "logs", "--hosts", hosts, "--days", days, "--formats", "palo_alto", "--attack-days", 1)
    collected = delivered(folder / "logs" / "palo_alto", folder / "in", batches)
    with account() as there:
        _set_up(config, there, folder)
        past, *recent = collected
        _say("the past", "ndr run s3://…/past: everything that was logged before")
        _ndr("run", f"s3://{BUCKET}/raw/past", "--lake", f"s3://{BUCKET}/lake", "--config", config, "--no-warmup")
        end = past.interval.end
        _pipeline("machine_inventory_unload", ReferenceMonthIso=f"{end:%Y-%m}")
        _pipeline("fg_b_baseline", ReferenceTimeIso=iso(end), Mode="REGULAR")
        for batch in recent:
            _batch(batch)
        found = _found(there, end)
        _batch(recent[-1])
        if (again := _found(there, end)) != found:
            raise DemoError(f"a batch that was replayed changed what is there: {found} became {again}")
        _tell(found)
        return found


def _set_up(config: Path, there: Account, folder: Path) -> None:
    """What an administrator does once, and what other systems have."""
    rendered = folder / "template.json"
    rendered.write_text(_ndr("deploy", "render", "--config", config, "--format", "json"))
    _say("account", "; ".join(deploy(json.loads(rendered.read_text()), there.s3)))
    _ndr("spec", "push", "--config", config, "--table", TABLE)
    for name in PIPELINES:
        _ndr("pipelines", "push", name, "--config", config)
    _ndr("feature-store", "create", "--config", config)
    with closing(client("s3")) as s3:
        for file in sorted((folder / "in").rglob("*.json")):
            s3.upload_file(str(file), BUCKET, f"raw/{file.relative_to(folder / 'in')}")
    for schema in (MACHINES, RESULTS):
        _sql(there, f"CREATE SCHEMA {schema.split('.')[0]}")
    _sql(there, f"CREATE TABLE {MACHINES} (host_ip VARCHAR(64), machine_name VARCHAR(256), active BOOLEAN)")
    with (folder / "logs" / "inventory.csv").open() as file:
        for row in csv.DictReader(file):
            _sql(there, f"INSERT INTO {MACHINES} VALUES (:ip_address, :machine_name, :active)", **row)  # noqa: S608 - a constant


def _sql(there: Account, statement: str, **values: str) -> list[list[Any]]:
    """One statement in the database that stands for Redshift, as its administrator gives it."""
    connection = there.postgres.connect()
    try:
        return connection.run(statement, **values) or []
    finally:
        connection.close()


def _batch(batch: Batch) -> None:
    """The three pipelines of a quarter hour, in order."""
    start, end = iso(batch.interval.start), iso(batch.interval.end)
    for name in ("15m_streaming", "inference_predictions", "prediction_feature_join"):
        _pipeline(name, MiniBatchId=batch.name, BatchStartTsIso=start, BatchEndTsIso=end)


def _pipeline(name: str, **parameters: str) -> None:
    started = time.perf_counter()
    done = execute(pipeline_name(PROJECT, name), ProjectName=PROJECT, FeatureSpecVersion=VERSION, **parameters)
    _say(name, f"{', '.join(map(_brief, done))}; {time.perf_counter() - started:.1f} s")


def _brief(step: Done) -> str:
    made = step.told.get("parts")
    return (
        f"{step.name} ({', '.join(f'{n} {t}' for t, n in made.items()) or 'nothing new'})"
        if made is not None
        else step.name
    )


def _found(there: Account, end: datetime) -> dict[str, Any]:
    """What is there in the end, by the services themselves."""
    with closing(client("s3")) as s3:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="lake/")
        keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
        snapshot = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"inventory/snapshot_month={end:%Y-%m}/")
    folders: dict[str, int] = {}
    for key in keys:
        folder = key.split("/")[1]
        folders[folder] = folders.get(folder, 0) + 1
    return {
        "lake": folders,
        "inventory": [each["Key"] for each in snapshot.get("Contents", ())],
        "redshift": _sql(there, f"SELECT count(*) FROM {RESULTS}")[0][0],  # noqa: S608 - a constant
        "features": dict(Counter(group for group, _ in there.features.records)),
    }


def _tell(found: dict[str, Any]) -> None:
    print("\nWhere everything lies (and lay until now: the stand-ins end with this command)")
    for folder, count in sorted(found["lake"].items()):
        print(f"  s3://{BUCKET}/lake/{folder}/  {count} files")
    print(f"  s3://{BUCKET}/{found['inventory'][0].rsplit('/', 1)[0]}/  {len(found['inventory'])} files, with _SUCCESS")
    print(f"  Redshift {RESULTS}  {found['redshift']} rows")
    for group, count in found["features"].items():
        print(f"  feature group {group}  {count} records")
    print(f"  DynamoDB {TABLE} (specs), ndr-ledger (ledger); SageMaker: {len(PIPELINES)} pipelines")
    print("The last batch was done twice, and nothing was doubled.")


def _ndr(*arguments: object) -> str:
    """One command; its output."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(each) for each in arguments])
    if code:
        raise DemoError(f"ndr {arguments[0]}: exit code {code}: {err.getvalue()[-2000:]}")
    return out.getvalue()


def _say(what: str, text: str) -> None:
    print(f"{what}: {text}", flush=True)


def demo(arguments: Sequence[str]) -> int:
    """The demo in a folder that is given, or in one that is gone afterwards."""
    started = time.perf_counter()
    if arguments:
        Path(arguments[0]).mkdir(parents=True, exist_ok=True)
        run(Path(arguments[0]))
    else:
        with TemporaryDirectory(prefix="ndr-demo-aws-") as folder:
            run(Path(folder))
    print(f"done in {time.perf_counter() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(demo(sys.argv[1:]))
