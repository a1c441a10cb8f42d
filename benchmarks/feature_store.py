"""Records into the Feature Store, beside what the round trips alone take: a service that answers after 20 ms."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from statistics import median
from typing import Any

import pyarrow as pa
from standins.credentials import environment

from benchmarks.measure import Cost, Line, alternate, cost, line
from benchmarks.settings import NOON, Setting
from ndr.arrow import arrow_schema
from ndr.aws.feature_store import Ingested, ingest
from ndr.aws.feature_store_groups import create
from ndr.aws.feature_store_records import shape_of
from ndr.table import Table
from ndr.tables import TABLES
from ndr.tables.feature_groups import FeatureStore

RECORDS = 2_000
DELAY = 0.02
WORKERS = 16
CALLS = {"predictions": (1, 10), "fg_a": (1, 10)}
"""Table -> records for each call."""


def rows(table: Table, count: int) -> pa.RecordBatch:
    """Rows with a value in every column but nested ones; what they say makes no difference."""
    schema = arrow_schema(table.columns)
    columns = []
    for field in schema:
        values: list[Any]
        if field.name == table.at:
            values = [NOON + timedelta(minutes=15)] * count
        elif field.name == "record_id":
            values = [f"10.0.{n // 250}.{n % 250}|w_15m|{NOON:%Y-%m-%dT%H:%M:%SZ}" for n in range(count)]
        elif pa.types.is_floating(field.type):
            values = [n / 7 for n in range(count)]
        elif pa.types.is_integer(field.type):
            values = list(range(count))
        else:
            values = ["word" if pa.types.is_string(field.type) else None] * count
        columns.append(pa.array(values, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


@contextmanager
def service() -> Iterator[None]:
    """A service in a process of its own, which the environment leads to."""
    command = [sys.executable, "-m", "standins.feature_store", "--delay", str(DELAY)]
    before = dict(os.environ)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().strip() if process.stdout else ""
            os.environ.update(environment(sagemaker=url, sagemaker_featurestore_runtime=url))
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
            process.communicate()


def measured(setting: Setting) -> list[Line]:
    """Rows of two tables, one record and ten to a call."""
    found: list[Line] = []
    with service():
        for name, calls in CALLS.items():
            table = TABLES[name]
            create(FeatureStore(), f"ndr-bench-{name}", shape_of(table))
            batch = rows(table, setting.sized(RECORDS))
            found += [_line(setting, table, batch, at_once) for at_once in calls]
    return found


def _line(setting: Setting, table: Table, batch: pa.RecordBatch, at_once: int) -> Line:
    spec = FeatureStore(max_workers=WORKERS, records_per_call=at_once, records_per_second=100_000)
    done: list[Ingested] = []

    def sent() -> None:
        done.append(ingest(spec, "bench", table, [batch], setting.folder / "failed.jsonl"))
        if done[-1].sent != batch.num_rows:
            raise AssertionError(f"{batch.num_rows - done[-1].sent} records were not taken")

    (costs,) = alternate(setting.runs, lambda _: cost(sent))
    alone = -(-batch.num_rows // at_once) * DELAY / WORKERS
    rate = batch.num_rows / median(each.seconds for each in costs)
    what = (
        f"{batch.num_rows:,} records of {table.name}, {len(table.columns)} features, {at_once} to a call, {WORKERS} "
        f"workers: {rate:,.0f} records/s, beside the round trips of {DELAY * 1000:.0f} ms alone"
    )
    return replace(line("feature_store", what, costs, [Cost(alone, 0.0, 0)] * len(costs)), cpu_ratio=None)
