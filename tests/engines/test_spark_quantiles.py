"""Quantiles of large groups on Spark: counted and put in order, and not held in memory, they are the exact ones."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import pytest

from engines.both import asked, beside, shaped
from ndr.engine import Rows
from ndr.engines.spark import Spark
from ndr.engines.spark_sql import compiled, stages
from ndr.rounding import interpolated
from ndr.specs import Config
from ndr.tables import TABLES
from oracle_baselines import quantile

SHARES = (0.0, 0.25, 0.5, 0.95, 1.0)
COLUMNS = {"segment": "string", "band": "int32", "n": "int64", "x": "float64"}
ODD = [
    ("null", 1, None, None),
    ("one", 1, 7, -0.5),
    ("two", 1, 2**53 + 2, 0.1), ("two", 1, None, 0.3),
    ("equal", 1, 3, 0.1), ("equal", 1, 3, 0.1), ("equal", 1, 3, 0.1), ("equal", 1, 4, 0.3),
    ("zero", 1, 0, -0.0), ("zero", 1, 0, 0.0), ("zero", 1, -1, 1e-300),
    (None, 1, 5, 5.0), (None, None, 6, 6.0), (None, None, 9, None),
]  # fmt: skip


def exact(values: list[Any], share: float) -> float | None:
    """A quantile by its definition, of the values that are there."""
    found = quantile([Fraction(value) for value in values if value is not None], str(share))
    return None if found is None else float(found)


def near_to(value: float | None, distance: float = 0.0) -> Any:
    """What equals a value but for its last digit."""
    return None if value is None else pytest.approx(value, rel=1e-14, abs=distance)


def rows_of(seed: int) -> list[tuple[Any, ...]]:
    """Odd groups, and some with many rows, few values and many."""
    rng = Random(seed)  # noqa: S311 - made-up data, not secrets
    made = list(ODD)
    for segment, most in (("few", 3), ("many", 10**9)):
        for _ in range(rng.randrange(50, 400)):
            n, x = rng.randrange(-most, most), rng.expovariate(0.01)
            made.append(
                (segment, rng.randrange(3), n if rng.random() < 0.9 else None, x if rng.random() < 0.5 else None)
            )
    rng.shuffle(made)
    return made


def wanted(rows: list[tuple[Any, ...]], keys: int) -> dict[tuple[Any, ...], dict[str, Any]]:
    """By group: rows, rows with a value, and the quantiles, by the definition."""
    groups: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for row in rows:
        groups.setdefault(row[:keys], []).append(row)
    return {
        key: {
            "rows": len(own),
            "known": sum(row[2] is not None for row in own),
            "n": [exact([row[2] for row in own], share) for share in SHARES],
            "x": [exact([row[3] for row in own], share) for share in SHARES],
        }
        for key, own in groups.items()
    }


@pytest.mark.parametrize("keys", [1, 2])
@pytest.mark.parametrize("seed", [1, 2])
def test_counted_quantiles_are_exact(spark: Spark, keys: int, seed: int) -> None:
    content = Rows(COLUMNS, rows_of(seed))
    rows, names = shaped(content), list(COLUMNS)[:keys]
    found = rows.group_by(names).agg(
        q_n=rows.n.quantile(list(SHARES)), rows=rows.count(), q_x=rows.x.quantile(list(SHARES)), known=rows.n.count()
    )
    told = {f"{c}_{i}": interpolated(found[f"q_{c}"][i], whole=c == "n") for c in "nx" for i in range(len(SHARES))}
    expression = found.select(*names, "rows", "known", **told)
    assert "POSEXPLODE" in compiled(expression)
    right = wanted(content.rows, keys)
    made = asked(spark, expression, {"rows": content})
    assert len(made) == len(right)
    for row in made:
        expected = right[tuple(row[name] for name in names)]
        assert (row["rows"], row["known"]) == (expected["rows"], expected["known"])
        for c, distance in (("n", 0.005), ("x", 0.0)):
            quantiles = [row[f"{c}_{i}"] for i in range(len(SHARES))]
            assert quantiles == [near_to(value, distance) for value in expected[c]], (c, row)


def test_medians_alone_are_counted_as_well(spark: Spark) -> None:
    content = Rows(COLUMNS, rows_of(3))
    rows = shaped(content)
    expression = rows.group_by("segment").agg(twice=(rows.n * 2).abs().median() / 2.0, x=rows.x.median())
    assert "POSEXPLODE" in compiled(expression)
    right = {}
    for segment in {row[0] for row in content.rows}:
        own = [row for row in content.rows if row[0] == segment]
        n = [None if row[2] is None else abs(row[2]) for row in own]
        right[segment] = {"twice": exact(n, 0.5), "x": exact([row[3] for row in own], 0.5)}
    for row in asked(spark, expression, {"rows": content}):
        expected = right.pop(row["segment"])
        assert {name: row[name] for name in expected} == {name: near_to(value) for name, value in expected.items()}
    assert not right


def test_of_no_rows_there_are_no_groups(spark: Spark, tmp_path: Path) -> None:
    content = Rows(COLUMNS, [])
    rows = shaped(content)
    with beside(spark, tmp_path) as engine:
        assert asked(engine, rows.group_by("segment").agg(x=rows.x.median()), {"rows": content}) == []


@pytest.mark.parametrize("name", ["fg_b_capping", "fg_b_segment", "fg_b_global"])
def test_no_task_holds_all_values_of_a_segment_or_of_everybody(name: str) -> None:
    table, config = TABLES[name], Config()
    query = compiled(table.expression(config.spec(table), config.project_parameters, config.feature_spec_version))
    assert "percentile(" not in query.lower()
    assert [stage.query.count("POSEXPLODE") for stage in stages(query)] == [1, 1]


def test_quantiles_of_a_host_are_not_counted() -> None:
    table, config = TABLES["fg_b_host"], Config()
    query = compiled(table.expression(config.spec(table), config.project_parameters, config.feature_spec_version))
    assert "POSEXPLODE" not in query
    assert len(list(stages(query))) > 1, "and the first ones are computed once, though they are read twice"
