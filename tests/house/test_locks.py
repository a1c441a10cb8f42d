"""The locks of Spark: pinned, hashed, and of one mind with ours, since they meet in one environment."""

from __future__ import annotations

import re
import tomllib

import pytest

from house.rooms import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pinned(lock: str) -> dict[str, str]:
    """Package, and marker if there is one -> its version."""
    entries = re.findall(r"^([\w.-]+)==(\S+)(.*)", (ROOT / lock).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name + rest.rstrip(" \\"): version for name, version, rest in entries}


@pytest.mark.parametrize("lock", ["requirements-spark.lock", "requirements-spark35.lock"])
def test_a_lock_of_spark_hashes_every_file_and_names_no_place(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    entries = [each for each in re.split(r"\n(?=\S)", text) if not each.startswith("#")]
    assert entries
    assert [each for each in entries if "--hash=sha256:" not in each] == []
    assert not re.search(r"://|--index|--find-links|file:", text)


def test_spark_comes_with_the_versions_that_the_rest_runs_on() -> None:
    ours, theirs = pinned("requirements.lock"), pinned("requirements-spark.lock")
    differing = {name: (ours[name], version) for name, version in theirs.items() if ours.get(name, version) != version}
    assert not differing, f"{differing}; run make lock"


def test_the_lock_of_spark_has_all_that_the_extra_asks_for() -> None:
    asked = {re.split(r"[^\w.-]", each)[0] for each in PROJECT["optional-dependencies"]["spark"]}
    assert asked <= pinned("requirements-spark.lock").keys()


def test_spark_3_5_brings_nothing_but_itself_and_ours_no_spark_at_all() -> None:
    assert pinned("requirements-spark.lock")["pyspark"].startswith("4.0.")
    assert pinned("requirements-spark35.lock")["pyspark"].startswith("3.5.")
    assert pinned("requirements-spark35.lock").keys() == {"pyspark", "py4j"}
    assert not {"pyspark", "py4j"} & pinned("requirements.lock").keys()
