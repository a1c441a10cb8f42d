"""The comparison finds every cell that differs, and nothing else."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ndr.errors import DataError
from ndr.parity.cells import unequal
from ndr.parity.pairing import paired
from ndr.tables import TABLES
from parity.twins import HELD, ROWS, change, file_of, held, ledger_of, make, put

Twins = tuple[Path, Path]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("twins") / "one")


@pytest.fixture
def twins(original: Path, tmp_path: Path) -> Twins:
    return Path(shutil.copytree(original, tmp_path / "one")), Path(shutil.copytree(original, tmp_path / "other"))


def width(name: str) -> int:
    return len(TABLES[name].stored_columns)


def test_a_lake_equals_its_copy(twins: Twins) -> None:
    found = held(*twins)
    assert set(found) == set(HELD)
    for name, told in found.items():
        assert (told.parts, told.rows, told.cells) == (3, 2 * ROWS, 2 * ROWS * width(name))
        assert (told.different, told.worst_relative, told.byte_equal_parts) == (0, 0.0, 3)
        assert told.equal
        assert not told.columns
        assert not told.examples


SCORE, WHY = "prediction_score", "explanation"
ONE_CELL = [
    ("delta", "sessions_cnt", lambda v: v + 1),
    ("delta", "sessions_cnt", None),
    ("predictions", "is_cold_start", lambda v: v - 1),
    ("predictions", SCORE, lambda v: v * (1 + 1e-11)),
    ("predictions", SCORE, lambda v: -v),
    ("predictions", SCORE, None),
    ("predictions", SCORE, math.nan),
    ("predictions", SCORE, math.inf),
    ("predictions", "segment_id", lambda v: v + " "),
    ("predictions", "segment_id", None),
    ("delta", "batch_end_ts", lambda v: v + timedelta(microseconds=1)),
    ("pair_history", "src_is_host", lambda v: not v),
    ("predictions", WHY, lambda v: [{**v[0], "contribution": v[0]["contribution"] * (1 + 1e-11)}]),
    ("predictions", WHY, lambda v: [{**v[0], "feature": "another"}]),
    ("predictions", WHY, lambda v: [{**v[0], "contribution": math.nan}]),
    ("predictions", WHY, lambda _: [None]),
    ("predictions", WHY, lambda v: v * 2),
    ("predictions", WHY, []),
    ("predictions", WHY, None),
]
"""Table, column, and what its fifth row holds in one of the lakes."""


@pytest.mark.parametrize(("name", "column", "value"), ONE_CELL)
def test_a_single_cell_is_found_wherever_it_is(twins: Twins, name: str, column: str, value: Any) -> None:
    change(twins[1], name, put(column, value))
    for pair in (twins, twins[::-1]):
        found = held(*pair)
        told = found.pop(name)
        assert (told.different, told.columns) == (1, {column: 1})
        assert not told.equal
        assert told.byte_equal_parts == 2
        (example,) = told.examples
        one, other = (pq.read_table(file_of(root, name)).column(column).to_pylist()[4] for root in pair)
        assert repr(example.values) == repr((one, other))
        key = next(iter(example.keys))
        assert example.keys[key] == pq.read_table(file_of(twins[0], name)).column(key)[4].as_py()
        assert all(other.equal for other in found.values())
        json.dumps(told.facts(), allow_nan=False)


def test_floats_may_be_a_rounding_apart_and_that_is_told(twins: Twins) -> None:
    change(twins[1], "predictions", put(SCORE, lambda v: v * (1 + 1e-13)))
    told = held(*twins)["predictions"]
    assert told.equal
    assert told.worst_relative == pytest.approx(1e-13, rel=0.01)
    change(twins[1], "predictions", put(WHY, lambda v: [{**v[0], "value": v[0]["value"] * (1 + 2e-13)}]))
    told = held(*twins)["predictions"]
    assert told.equal
    assert told.worst_relative == pytest.approx(2e-13, rel=0.01)


@pytest.mark.parametrize(
    ("name", "column", "nothing"),
    [
        ("delta", "sessions_cnt", 0),
        ("predictions", SCORE, 0.0),
        ("pair_history", "src_is_host", False),
        ("predictions", "segment_id", ""),
        ("predictions", WHY, []),
    ],
)
def test_null_is_no_nothing(twins: Twins, tmp_path: Path, name: str, column: str, nothing: Any) -> None:
    change(twins[1], name, put(column, nothing))
    unknown = Path(shutil.copytree(twins[1], tmp_path / "unknown"))
    change(unknown, name, put(column, None))
    assert held(twins[1], unknown)[name].columns == {column: 1}
    change(twins[1], name, put(column, None))
    assert held(twins[1], unknown)[name].equal


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_differs_even_from_itself(twins: Twins, tmp_path: Path, value: float) -> None:
    """We never write those: one of them in both lakes is one mistake made twice."""
    change(twins[1], "predictions", put(SCORE, value))
    change(twins[1], "predictions", put(WHY, lambda v: [{**v[0], "value": value}]))
    again = Path(shutil.copytree(twins[1], tmp_path / "again"))
    told = held(twins[1], again)["predictions"]
    assert told.byte_equal_parts == 3
    assert told.columns == {SCORE: 1, WHY: 1}


@pytest.mark.parametrize("name", HELD)
def test_a_row_that_is_missing_differs_in_all_its_cells(twins: Twins, name: str) -> None:
    change(twins[1], name, lambda rows: pa.concat_tables([rows.slice(0, 3), rows.slice(4)]))
    for pair, values in ((twins, ("there", "missing")), (twins[::-1], ("missing", "there"))):
        told = held(*pair)[name]
        assert (told.rows, told.cells) == (2 * ROWS, 2 * ROWS * width(name))
        assert told.different == width(name)
        assert told.columns == dict.fromkeys(TABLES[name].stored_columns, 1)
        assert [(each.column, each.values) for each in told.examples] == [("(row)", values)]


def test_the_rows_that_both_have_are_compared_where_others_are_missing(twins: Twins) -> None:
    change(twins[0], "pair_history", lambda rows: rows.slice(1))
    change(twins[1], "pair_history", lambda rows: put("sessions_cnt", 0)(rows).slice(0, ROWS - 1))
    told = held(*twins)["pair_history"]
    assert told.different == 2 * width("pair_history") + 1
    assert told.columns["sessions_cnt"] == 3
    assert told.examples[-1].values == (104, 0)


def test_another_key_is_another_row(twins: Twins) -> None:
    change(twins[1], "pair_history", put("dst_port", 9))
    told = held(*twins)["pair_history"]
    assert told.rows == 2 * ROWS + 1
    assert told.different == 2 * width("pair_history")


def test_the_order_of_rows_is_no_difference(twins: Twins) -> None:
    change(twins[1], "pair_history", lambda rows: rows.take(pa.array(range(ROWS))[::-1]))
    told = held(*twins)["pair_history"]
    assert told.equal
    assert told.byte_equal_parts == 2


def test_a_row_that_stands_twice_is_one_too_many(twins: Twins) -> None:
    change(twins[1], "pair_history", lambda rows: pa.concat_tables([rows, rows.slice(2, 1)]))
    assert held(*twins)["pair_history"].different == width("pair_history")


def test_a_column_of_another_type_or_none_differs_throughout(twins: Twins) -> None:
    def otherwise(rows: pa.Table) -> pa.Table:
        place = rows.column_names.index("sessions_cnt")
        return rows.set_column(place, "sessions_cnt", rows.column(place).cast(pa.int32())).drop_columns("src_is_host")

    change(twins[1], "pair_history", otherwise)
    told = held(*twins)["pair_history"]
    assert told.columns == {"sessions_cnt": ROWS, "src_is_host": ROWS}
    assert {each.values for each in told.examples} == {("int64", "int32"), ("bool", "no such column")}


@pytest.mark.parametrize("empty", [False, True])
def test_a_part_that_one_lake_lacks_is_found(twins: Twins, *, empty: bool) -> None:
    with ledger_of(twins[1]) as ledger:
        ledger.commit([], [ledger.parts("delta", "1")[2 if empty else 0]], {})
    for pair in (twins, twins[::-1]):
        told = held(*pair)["delta"]
        assert (told.parts, told.parts_missing, told.byte_equal_parts) == (3, 1, 2)
        assert told.different == (0 if empty else ROWS * width("delta"))
        assert not told.equal


def test_a_part_without_rows_in_one_lake_lacks_them_all(twins: Twins) -> None:
    with ledger_of(twins[1]) as ledger:
        ledger.commit([replace(ledger.parts("delta", "1")[0], rows=0, path="", checksum="")], [], {})
    told = held(*twins)["delta"]
    assert (told.different, told.parts_missing) == (ROWS * width("delta"), 0)


def test_a_table_that_one_lake_lacks_differs_throughout(twins: Twins) -> None:
    with ledger_of(twins[1]) as ledger:
        ledger.commit([], ledger.parts("delta", "1"), {})
    told = held(*twins)["delta"]
    assert told.different == told.cells == 2 * ROWS * width("delta")


def test_parts_of_other_inputs_are_not_the_same(twins: Twins) -> None:
    with ledger_of(twins[1]) as ledger:
        ledger.commit([replace(ledger.parts("delta", "1")[1], id="of other sessions")], [], {})
    told = held(*twins)["delta"]
    assert (told.ids_differ, told.different) == (1, 0)
    assert not told.equal


def test_no_more_than_five_examples_are_kept(twins: Twins) -> None:
    for column in list(TABLES["delta"].stored_columns)[7:20]:
        change(twins[1], "delta", put(column, 0))
    told = held(*twins)["delta"]
    assert told.different == 13
    assert len(told.examples) == 5


@pytest.mark.parametrize("harm", ["gone", "cut"])
def test_a_file_that_cannot_be_read_is_named(twins: Twins, harm: str) -> None:
    file = file_of(twins[1], "delta")
    if harm == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"part0\.v1\.parquet"):
        held(*twins)


FLOATS = st.one_of(st.none(), st.floats(), st.sampled_from([0.0, -0.0, 1.0, 1 + 1e-13, 1 + 1e-11, 5e-324]))
INNER = pa.struct([("name", pa.string()), ("z", pa.float64())])
ITEMS = st.one_of(st.none(), st.fixed_dictionaries({"name": st.sampled_from(["a", None]), "z": FLOATS}))
LISTS = st.one_of(st.none(), st.lists(ITEMS, max_size=2))


def same(one: Any, other: Any) -> bool:
    """The rule, for one value, in plain words."""
    if one is None or other is None:
        return one is other
    if isinstance(one, float):
        finite = math.isfinite(one) and math.isfinite(other)
        return finite and abs(one - other) <= 1e-12 * max(abs(one), abs(other))
    if isinstance(one, dict):
        return all(same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.mark.parametrize(
    ("values", "dtype"), [(FLOATS, pa.float64()), (LISTS, pa.list_(INNER))], ids=["floats", "lists"]
)
def test_whole_columns_are_judged_as_each_of_their_values(values: st.SearchStrategy[Any], dtype: pa.DataType) -> None:
    @given(st.lists(st.one_of(st.tuples(values, values), values.map(lambda v: (v, v))), max_size=8), st.integers(0, 2))
    def judged(pairs: list[tuple[Any, Any]], start: int) -> None:
        one, other = (pa.array([pair[side] for pair in pairs], dtype).slice(start) for side in (0, 1))
        wrong, worst = unequal(one, other)
        assert wrong.tolist() == [not same(*pair) for pair in pairs[start:]]
        assert 0 <= worst <= 2

    judged()


KEY = st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from([1, 2, None]))


@given(st.lists(KEY, max_size=8), st.lists(KEY, max_size=8), st.integers(1, 8))
def test_rows_are_paired_by_their_keys_whatever_their_order(one: list[Any], other: list[Any], cut: int) -> None:
    schema = pa.schema([("text", pa.string()), ("number", pa.int32())])
    tables = [
        pa.Table.from_pylist([dict(zip(schema.names, k, strict=True)) for k in keys], schema) for keys in (one, other)
    ]
    chunked = pa.concat_tables([tables[0].slice(0, cut), tables[0].slice(cut)])
    mine, theirs = paired(chunked, tables[1])
    assert mine.tolist() == sorted(set(mine.tolist()))
    assert len(set(theirs.tolist())) == len(theirs)
    assert [one[i] for i in mine] == [other[i] for i in theirs]
    assert len(mine) == sum(min(one.count(key), other.count(key)) for key in {*one})
    for key in {*one} & {*other}:
        places = [int(np.flatnonzero(theirs == i)[0]) for i, k in enumerate(other) if k == key and i in theirs]
        assert places == sorted(places)
