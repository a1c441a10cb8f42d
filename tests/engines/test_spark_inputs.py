"""Files and small tables as Spark sees them: the types that are declared, and every row beside its own constants."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pytest

from engines.both import alike, asked, file, read, shaped
from ndr.engine import Files, Rows
from ndr.engines.spark import Spark
from ndr.errors import AdapterError

NUMBER = {"n": "int64"}
TEXT = {"v": "string"}
ODD_TEXTS = (
    "1.10",
    "7d",
    "30d",
    "007",
    "2026-01",
    "2026-01-05",
    "1e3",
    "null",
    "true",
    "",
    "1_0",
    "0x10",
    "10L",
    "Nan",
)
EVERY_TYPE = {
    "string": "a", "boolean": True, "int32": -(2**31), "int64": 2**63 - 1, "float64": 0.1,
    "timestamp(6)": datetime(2026, 3, 8, 2, 30, 0, 1),
    "array<struct<metric: string, z: float64, value: float64, baseline: float64, source: string>>": [
        {"metric": "m", "z": -0.5, "value": None, "baseline": 2.0, "source": None}
    ],
}  # fmt: skip
ODD_FOLDERS = (
    "plain", "with space", "Gerät", "Gera\u0308t", "100%", "a%20b", "a b", "a+b", "dt=2026-01-05", "v=7d", "日本", "€",
    "a#b", "a&b", "a,b", "a;b", "it's", 'said "so"', "a@b", "a~b", "(a)", "a!b", "$a", "a^b", "a`b", "a|b", "<a>",
    "a:b", "é\u00a0", "🦆",
)  # fmt: skip
CLOCK_CHANGES = (
    datetime(2026, 3, 8, 1, 59, 59, 999_999), datetime(2026, 3, 8, 2), datetime(2026, 3, 8, 2, 30),  # not in New York
    datetime(2026, 3, 8, 3), datetime(2026, 11, 1, 1, 30), datetime(2026, 11, 1, 2), datetime(2026, 3, 29, 1, 30),
    datetime(2026, 10, 25, 0, 59, 59), datetime(1969, 12, 31, 23, 59, 59, 999_999), datetime(1883, 11, 18, 12),
)  # fmt: skip


@pytest.fixture
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process too believes to be there."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def numbered(folder: Path, numbers: int, **constants: Any) -> Files:
    """As many files as there are constants, each with some rows."""
    (name,) = constants
    values = constants[name]
    paths = [
        file(folder / f"{i}.parquet", NUMBER, [(i * 100 + n,) for n in range(numbers)]) for i in range(len(values))
    ]
    return Files({**NUMBER, name: "string"}, paths, [{name: value} for value in values])


def test_texts_in_folders_are_never_taken_for_numbers_or_dates(spark: Spark, tmp_path: Path) -> None:
    paths = [file(tmp_path / f"v={value}" / "part.parquet", NUMBER, [(n,)]) for n, value in enumerate(ODD_TEXTS)]
    files = Files({**NUMBER, **TEXT}, paths, [{"v": value} for value in ODD_TEXTS])
    assert read(spark, files) == sorted(({"n": n, "v": v} for n, v in enumerate(ODD_TEXTS)), key=repr)


@pytest.mark.parametrize("value", ["007", "1.10", "7d"])
def test_one_constant_of_all_files_stays_the_text_that_it_is(spark: Spark, tmp_path: Path, value: str) -> None:
    rows = read(spark, numbered(tmp_path / f"v={value}", 2, v=[value, value]))
    assert [row["v"] for row in rows] == [value] * 4


def test_texts_in_files_stay_texts(spark: Spark, tmp_path: Path) -> None:
    path = file(tmp_path / "texts.parquet", TEXT, [(text,) for text in ODD_TEXTS])
    assert {row["v"] for row in read(spark, Files(TEXT, [path]))} == set(ODD_TEXTS)


def test_constants_reach_the_rows_of_their_file_whatever_its_folder_is_called(spark: Spark, tmp_path: Path) -> None:
    paths = [file(tmp_path / folder / "part 0.parquet", NUMBER, [(n,), (-n,)]) for n, folder in enumerate(ODD_FOLDERS)]
    files = Files({"place": "string", **NUMBER}, paths, [{"place": folder} for folder in ODD_FOLDERS])
    found = read(spark, files)
    assert len(found) == 2 * len(ODD_FOLDERS)
    assert {(row["place"], abs(row["n"])) for row in found} == {(each, n) for n, each in enumerate(ODD_FOLDERS)}


def test_a_file_without_rows_takes_nothing_from_the_others(spark: Spark, tmp_path: Path) -> None:
    paths = [file(tmp_path / f"{n}.parquet", NUMBER, [(n,)] * (n % 2)) for n in range(4)]
    constants = [{"v": str(n)} for n in range(4)]
    assert read(spark, Files({**NUMBER, **TEXT}, paths, constants)) == [{"n": 1, "v": "1"}, {"n": 3, "v": "3"}]
    assert read(spark, Files({**NUMBER, **TEXT}, paths[:1], constants[:1])) == []
    assert read(spark, Files({**NUMBER, **TEXT}, paths[::2], constants[::2])) == []


def test_a_file_that_spark_calls_otherwise_is_an_error_and_its_rows_are_not_lost(spark: Spark, tmp_path: Path) -> None:
    files = numbered(tmp_path / "there", 2, v=["a", "b"])
    roundabout = str(tmp_path / "there" / ".." / "there" / "0.parquet")
    with pytest.raises(AdapterError, match=r"read under another name.*0\.parquet"):
        read(spark, Files(files.columns, [roundabout, files.paths[1]], files.constants))


def test_constants_of_every_type_are_what_was_said(spark: Spark, tmp_path: Path, new_york: None) -> None:
    simple = {name: value for name, value in EVERY_TYPE.items() if not name.startswith("array")}
    columns = {f"c{i}": declared for i, declared in enumerate(simple)}
    values = dict(zip(columns, simple.values(), strict=True))
    paths = [file(tmp_path / f"{n}.parquet", NUMBER, [(n,)]) for n in range(2)]
    nothing = dict.fromkeys(columns)
    for constants in ([values, values], [nothing, nothing], [values, nothing]):
        wanted = [{"n": n, **each} for n, each in enumerate(constants)]
        assert read(spark, Files({**NUMBER, **columns}, paths, constants)) == wanted


def test_only_rows_of_the_time_are_read(spark: Spark, tmp_path: Path, new_york: None) -> None:
    start = datetime(2026, 3, 8, 1, 30)
    times = [(start + timedelta(minutes=30 * n) + timedelta(microseconds=m),) for n in range(5) for m in (-1, 0, 1)]
    path = file(tmp_path / "times.parquet", {"at": "timestamp(6)"}, times)
    files = Files({"at": "timestamp(6)"}, [path], within=("at", start, start + timedelta(hours=1)))
    found = [row["at"] for row in alike(spark, shaped(files), {"rows": files})]
    assert found == [at for (at,) in times if start <= at < start + timedelta(hours=1)]
    assert len(found) == 6


def test_only_rows_with_the_values_are_read(spark: Spark, tmp_path: Path) -> None:
    path = file(tmp_path / "texts.parquet", TEXT, [("a",), ("b'",), ("c",), (None,), ("A",)])
    constants = [{"w": "x"}]
    for wanted in (["a", "b'"], ["nobody"], []):
        files = Files({**TEXT, "w": "string"}, [path], constants, only={"v": wanted})
        found = {row["v"] for row in alike(spark, shaped(files), {"rows": files})}
        assert found == {*wanted} - {"nobody"}
    files = Files({**TEXT, "w": "string"}, [path, path[:-8] + "2.parquet"], [*constants, {"w": "y"}], only={"w": ["y"]})
    file(Path(files.paths[1]), TEXT, [("of y",)])
    assert read(spark, files) == [{"v": "of y", "w": "y"}]


def test_no_files_are_a_table_without_rows(spark: Spark) -> None:
    columns = {f"c{i}": declared for i, declared in enumerate(EVERY_TYPE)}
    nothing = Files(columns, [])
    assert alike(spark, shaped(nothing), {"rows": nothing}) == []
    counted = shaped(nothing).aggregate(n=shaped(nothing).count(), least=shaped(nothing).c3.min())
    assert alike(spark, counted, {"rows": nothing}) == [{"n": 0, "least": None}]


def test_small_tables_are_what_was_said(spark: Spark, new_york: None) -> None:
    columns = {f"c{i}": declared for i, declared in enumerate(EVERY_TYPE)}
    for rows in ([], [tuple(EVERY_TYPE.values())], [tuple(EVERY_TYPE.values()), (None,) * len(columns)]):
        content = Rows(columns, rows)
        found = alike(spark, shaped(content), {"rows": content})
        assert found == sorted((dict(zip(columns, row, strict=True)) for row in rows), key=repr)


def test_an_unknown_value_is_null_in_every_type(spark: Spark, tmp_path: Path) -> None:
    columns = {f"c{i}": declared for i, declared in enumerate(EVERY_TYPE)}
    rows = [tuple(EVERY_TYPE.values()), (None,) * len(columns)]
    files = Files(columns, [file(tmp_path / "rows.parquet", columns, rows)])
    assert alike(spark, shaped(files), {"rows": files}) == [dict(zip(columns, row, strict=True)) for row in rows]
    known = shaped(files).select(**{c: shaped(files)[c].isnull() for c in columns})
    assert alike(spark, known, {"rows": files}) == [dict.fromkeys(columns, False), dict.fromkeys(columns, True)]


def test_moments_at_which_clocks_change_stay_as_they_are(spark: Spark, tmp_path: Path, new_york: None) -> None:
    files = Files(
        {"at": "timestamp(6)"},
        [file(tmp_path / "times.parquet", {"at": "timestamp(6)"}, [(at,) for at in CLOCK_CHANGES])],
    )
    assert [row["at"] for row in read(spark, files)] == sorted(CLOCK_CHANGES, key=lambda at: repr({"at": at}))
    rows = shaped(files)
    told = rows.select(
        "at", hour=rows.at.hour(), later=rows.at + ibis.interval(hours=3), early=rows.at < datetime(2026, 3, 8, 2, 30),
    )  # fmt: skip
    assert {row["hour"] for row in alike(spark, told, {"rows": files})} == {0, 1, 2, 3, 12, 23}


def test_a_file_that_is_gone_is_told(spark: Spark, tmp_path: Path) -> None:
    there = file(tmp_path / "there.parquet", NUMBER, [(1,)])
    for paths in ([there, str(tmp_path / "gone.parquet")], [str(tmp_path / "gone.parquet")]):
        with pytest.raises(AdapterError, match=r"gone\.parquet"):
            read(spark, Files(NUMBER, paths))


def test_a_file_that_is_none_is_told(spark: Spark, tmp_path: Path) -> None:
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(AdapterError, match=r"torn\.parquet"):
        read(spark, Files(NUMBER, [str(tmp_path / "torn.parquet")]))


def test_a_file_of_other_types_is_an_error(spark: Spark, tmp_path: Path) -> None:
    path = file(tmp_path / "texts.parquet", {"n": "string"}, [("1",)])
    with pytest.raises(AdapterError, match="Spark failed"):
        asked(spark, shaped(Files(NUMBER, [path])), {"rows": Files(NUMBER, [path])})
