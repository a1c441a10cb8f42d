"""What Spark computes and writes: the numbers and the bytes of the other engine, or an error in Spark's own words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engines.both import alike, beside, file, shaped
from ndr.engine import Engine, Files, Output, Rows
from ndr.engines.duckdb import DuckDB
from ndr.engines.spark import Spark
from ndr.errors import AdapterError, DataError, DeclarationError

WIDE = {"key": "string", "n": "int64", "share": "float64", "at": "timestamp(6)", "small": "int32", "flag": "boolean"}
MORNING = datetime(2026, 3, 29, 0, 45)
QUARTER = timedelta(minutes=15)
BIG = 2**53 + 1


def wide(rows: int) -> Rows:
    """Rows in no order, each key a few times, every column null now and then."""
    made = []
    for i in range(rows):
        n = i * 7919 % rows
        key = ("ä", "a", "Z", "", "10.1.1.10", "10.1.1.9", "b\u0308", None)[n % 8]
        share = None if n % 5 == 0 else n / 7
        made.append((key, BIG + n, share, MORNING + n % 4 * QUARTER, None if n % 3 == 0 else -n, n % 2 == 0 or None))
    return Rows(WIDE, made)


@pytest.fixture
def duckdb() -> Iterator[DuckDB]:
    with closing(DuckDB("")) as engine:
        yield engine


def found(spark: Spark, expression: ir.Table, content: Rows) -> list[dict[str, Any]]:
    return spark.fetch(spark.compile(expression), {"rows": content})


def test_whole_numbers_are_summed_beyond_32_bits_and_beyond_what_floats_tell_apart(spark: Spark) -> None:
    columns = {"bytes": "int64", "count": "int32"}
    content = Rows(columns, [(BIG, 2**31 - 1), (2, 2**31 - 1), (None, None)])
    rows = shaped(content)
    sums = rows.aggregate(**{name: rows[name].sum().cast("int64") for name in columns})
    assert alike(spark, sums, {"rows": content}) == [{"bytes": BIG + 2, "count": 2**32 - 2}]


def test_a_literal_with_a_point_is_a_float_and_no_decimal_number(spark: Spark) -> None:
    content = Rows({"x": "float64", "n": "int64"}, [(0.1, 3), (1e-300, BIG), (None, None)])
    rows = shaped(content)
    told = rows.select(
        times=rows.x * 1.1, product=rows.n * 0.1, tiny=rows.x + 1e-7, share=rows.n / 3, shifted=rows.x - 0.5,
        chosen=ibis.ifelse(rows.n > 2.5, 0.05, rows.x), third=ibis.literal(1 / 3), huge=rows.x * 1e300,
        filled=rows.x.fill_null(0.25),
    )  # fmt: skip
    values = [value for row in found(spark, told, content) for value in row.values() if value is not None]
    assert all(isinstance(value, float) for value in values)
    assert {0.1 * 1.1, 3 * 0.1, 0.1 + 1e-7, 1 / 3, 0.25} <= set(values)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        (lambda rows: rows.n + 1, "ARITHMETIC_OVERFLOW"),
        (lambda rows: rows.n.cast("int32"), "CAST_OVERFLOW"),
        (lambda rows: rows.text.cast("int64"), "CAST_INVALID_INPUT"),
    ],
)
def test_what_does_not_fit_is_an_error_in_the_words_of_spark_and_never_null(
    spark: Spark, expression: Any, said: str
) -> None:
    content = Rows({"n": "int64", "text": "string"}, [(2**63 - 1, "seven")])
    rows = shaped(content)
    with pytest.raises(AdapterError, match=said) as caught:
        found(spark, rows.select(value=expression(rows)), content)
    assert "\tat " not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_sum_that_does_not_fit_is_an_error(spark: Spark) -> None:
    content = Rows({"n": "int64"}, [(2**62,), (2**62,)])
    with pytest.raises(AdapterError, match="ARITHMETIC_OVERFLOW"):
        found(spark, shaped(content).aggregate(n=shaped(content).n.sum()), content)


def test_a_result_may_have_types_that_no_table_has(spark: Spark) -> None:
    content = Rows({"n": "int64", "at": "timestamp(6)"}, [(7, MORNING)])
    rows = shaped(content)
    told = rows.select(day=rows.at.date(), **{each: rows.n.cast(each) for each in ("int8", "int16", "float32")})
    assert alike(spark, told, {"rows": content}) == [{"day": MORNING.date(), "int8": 7, "int16": 7, "float32": 7.0}]
    with pytest.raises(DeclarationError, match="decimal"):
        found(spark, rows.select(n=rows.n.cast("decimal(9, 2)")), content)


def written(
    engine: Engine, folder: Path, content: Rows, outputs: list[dict[str, Any]], **more: Any
) -> tuple[list[int], dict[str, bytes]]:
    """The numbers of rows of some outputs, and the files that were written for them."""
    folder.mkdir()
    told = [Output(where, str(folder / f"{n}.parquet")) for n, where in enumerate(outputs)]
    columns = {name: declared for name, declared in WIDE.items() if name != "at" or "at" not in outputs[0]} | {
        name: WIDE[name] for name in outputs[0]
    }
    query = engine.compile(shaped(content).select(*columns))
    counts = engine.write(query, {"rows": content}, columns, ("key", "n"), told, **more)
    return counts, {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_files_have_the_order_and_the_bytes_of_the_other_engine(spark: Spark, duckdb: DuckDB, tmp_path: Path) -> None:
    content = wide(5_000)
    outputs = [{"at": MORNING + n * QUARTER} for n in range(3)]
    ours = written(spark, tmp_path / "spark", content, outputs)
    assert ours == written(duckdb, tmp_path / "duckdb", content, outputs)
    assert ours[0] == [1250, 1250, 1250]  # and the fourth is nobody's
    rows = pq.read_table(tmp_path / "spark/1.parquet").to_pylist()
    assert len({row["key"] for row in rows}) > 1
    assert rows == sorted(rows, key=lambda row: (row["key"] is None, (row["key"] or "").encode(), row["n"]))


def test_an_output_without_rows_leaves_no_file(spark: Spark, tmp_path: Path) -> None:
    outputs = [{"at": MORNING - QUARTER}, {"at": MORNING}]
    counts, files = written(spark, tmp_path / "some", wide(4), outputs)
    assert (counts, list(files)) == ([0, 1], ["1.parquet"])
    assert written(spark, tmp_path / "none", wide(0), outputs) == ([0, 0], {})


def test_a_query_that_spark_sees_to_find_nothing_writes_nothing(spark: Spark, tmp_path: Path) -> None:
    content = wide(4)
    query = spark.compile(shaped(content).filter(ibis.literal(False)))  # noqa: FBT003
    output = Output({"at": MORNING}, str(tmp_path / "none.parquet"))
    assert spark.write(query, {"rows": content}, WIDE, ("key",), [output]) == [0]
    assert list(tmp_path.iterdir()) == []
    assert found(spark, shaped(content).filter(ibis.literal(False)), content) == []  # noqa: FBT003


def test_rows_go_through_the_judge_in_their_order_before_they_are_written(spark: Spark, tmp_path: Path) -> None:
    seen: list[int] = []

    def judge(batch: pa.RecordBatch) -> pa.RecordBatch:
        seen.extend(batch.column("n").to_pylist())
        doubled = pa.array([None if x is None else 2 * x for x in batch.column("share").to_pylist()], pa.float64())
        return batch.set_column(batch.schema.get_field_index("share"), "share", doubled)

    content = wide(100)
    counts, _ = written(spark, tmp_path / "judged", content, [{}], through=judge)
    assert counts == [100]
    rows = pq.read_table(tmp_path / "judged/0.parquet").to_pylist()
    assert [row["n"] for row in rows] == seen
    assert {row["n"]: row["share"] for row in rows} == {r[1]: None if r[2] is None else 2 * r[2] for r in content.rows}


def test_an_error_of_the_judge_stays_what_it_is(spark: Spark, tmp_path: Path) -> None:
    def judge(_: pa.RecordBatch) -> pa.RecordBatch:
        raise DataError("a feature is missing")

    with pytest.raises(DataError, match="a feature is missing"):
        written(spark, tmp_path / "judged", wide(10), [{}], through=judge)


def test_a_large_result_comes_in_batches(spark: Spark) -> None:
    content = wide(3_000)
    batches = list(spark.batches(spark.compile(shaped(content)), {"rows": content}))
    assert sorted(pa.Table.from_batches(batches).column("n").to_pylist()) == sorted(row[1] for row in content.rows)


def shared(rows: ir.Table) -> ir.Table:
    """A query that reads a part of itself twice, under a name."""
    sums = rows.group_by("key").aggregate(n=rows.count()).alias("sums")
    return sums.join(sums.view(), "n", how="inner", rname="other_{name}").select("key", "other_key", "n")


def test_what_is_read_twice_is_computed_once_and_the_same_as_elsewhere(spark: Spark) -> None:
    content = Rows({"key": "string"}, [("a",), ("a",), ("b",), ("c",), ("c",)])
    assert spark.compile(shared(shaped(content))).count("GROUP BY") == 1
    assert alike(spark, shared(shaped(content)), {"rows": content}) == [
        {"key": one, "other_key": other, "n": n}
        for one, other, n in [("a", "a", 2), ("a", "c", 2), ("b", "b", 1), ("c", "a", 2), ("c", "c", 2)]
    ]


def test_a_query_costs_one_job_for_each_of_its_stages(spark: Spark) -> None:
    content = wide(1_000)
    rows = shaped(content)
    found(spark, rows.group_by("key").aggregate(n=rows.n.sum()), content)
    plain = spark.spent()
    assert plain["jobs"] == 1
    assert plain["stages"] == 2
    assert plain["tasks"] >= plain["stages"]
    assert plain["shuffle_bytes"] > 0
    found(spark, rows.filter(rows.n > 0), content)
    assert spark.spent() == {"jobs": 1, "stages": 1, "tasks": 1, "shuffle_bytes": 0}


def test_files_with_constants_of_their_own_cost_no_job_but_that_of_the_small_table(
    spark: Spark, tmp_path: Path
) -> None:
    paths = [file(tmp_path / f"{n}.parquet", {"n": "int64"}, [(n,)]) for n in range(40)]
    files = Files({"n": "int64", "v": "string"}, paths, [{"v": str(n)} for n in range(40)])
    rows = shaped(files)
    spark.fetch(spark.compile(rows.group_by("v").aggregate(n=rows.n.sum())), {"rows": files})
    assert spark.spent()["jobs"] <= 2


def test_nothing_stays_in_the_exchange(spark: Spark, tmp_path: Path) -> None:
    exchange = tmp_path / "exchange"
    content = Rows({"key": "string"}, [("a",), ("b",)])
    failing = Rows({"text": "string"}, [("seven",)])
    with beside(spark, exchange) as engine:

        def held() -> list[str]:
            return [str(each) for each in exchange.rglob("*") if each.is_file()]

        found(engine, shared(shaped(content)), content)
        assert held() == []
        with pytest.raises(AdapterError):
            found(engine, shaped(failing).select(n=shaped(failing).text.cast("int64")), failing)
        assert held() == []
        batches = engine.batches(engine.compile(shared(shaped(content))), {"rows": content})
        next(batches)
        assert held() != []
        batches.close()
        assert held() == []
        assert engine._spark.catalog.listTables() == []
    assert [each for each in exchange.iterdir() if each.name != "spill"] == []
