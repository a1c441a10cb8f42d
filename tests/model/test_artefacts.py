"""A stored model is data that is trusted only when every hash and rule holds."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.rows import COLUMNS, SMALL, batch, matrix
from ndr import artefacts
from ndr.errors import ModelError
from ndr.model.detector import Detector
from ndr.model.training import train

TOLD = {"inputs": {"features": "f" * 8, "parts": artefacts.digest(["a", "b"])}, "feature_spec_version": "1"}


def saved(folder: Path, detector: Detector, facts: dict) -> Path:
    """The folder, with the files of a model."""
    for name, data in artefacts.content(detector, facts).items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def trained() -> tuple[Detector, dict]:
    detector, facts = train(matrix(), COLUMNS, SMALL)
    return detector, {**facts, **TOLD}


@pytest.fixture(scope="module")
def stored(trained: tuple[Detector, dict], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("model"), *trained)


@pytest.fixture
def folder(stored: Path, tmp_path: Path) -> Path:
    """A copy to tamper with."""
    return Path(shutil.copytree(stored, tmp_path / "model"))


def rewrite(folder: Path, change: Callable[[dict], Any], *, sign: bool = True) -> None:
    """Edit the manifest, and make its checksum right again."""
    file = folder / artefacts.MANIFEST
    content = json.loads(file.read_text())
    change(content)
    if sign:
        content.pop("checksum", None)
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        content["checksum"] = hashlib.sha256(text.encode()).hexdigest()
    file.write_text(json.dumps(content, sort_keys=True, separators=(",", ":")))


def replant(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Edit the forest, and let the manifest name its hash."""
    file = folder / artefacts.FOREST
    pq.write_table(change(pq.read_table(file)), file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    rewrite(folder, lambda m: m.update(forest_sha256=digest))


def cell(column: str, node: int, value: float) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        values = table.column(column).to_numpy().copy()
        values[node] = value
        place = table.column_names.index(column)
        return table.set_column(place, table.schema.field(column), pa.array(values, table.schema.field(column).type))

    return change


def refused(folder: Path, rule: str) -> None:
    with pytest.raises(ModelError, match=rule) as caught:
        artefacts.load(folder)
    assert str(folder)[:40] in str(caught.value)
    assert "ndr train" in str(caught.value)


def test_what_was_stored_judges_alike(trained: tuple[Detector, dict], stored: Path) -> None:
    detector, facts = trained
    loaded, manifest = artefacts.load(stored)
    rows = batch(matrix(seed=9))
    assert loaded.judge(rows).equals(detector.judge(rows))
    assert loaded.version == detector.version == manifest.model_version
    assert loaded.name == detector.name == manifest.model_name
    assert manifest.training.model_dump(mode="json").items() <= facts.items()
    assert manifest.inputs == TOLD["inputs"]


def test_the_same_rows_give_the_same_bytes(stored: Path, tmp_path: Path) -> None:
    rows = matrix()
    detector, facts = train(rows.take(pa.array(np.arange(rows.num_rows)[::-1])), COLUMNS, SMALL)
    again = saved(tmp_path, detector, {**facts, **TOLD})
    for name in (artefacts.MANIFEST, artefacts.FOREST):
        assert (again / name).read_bytes() == (stored / name).read_bytes()


def test_a_name_that_no_file_can_have_is_told() -> None:
    with pytest.raises(ModelError, match="there is no model file"):
        artefacts.load("a\0b")


@pytest.mark.parametrize("name", [artefacts.MANIFEST, artefacts.FOREST])
def test_a_byte_that_was_flipped_is_noticed(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    for place in np.linspace(0, len(whole) - 1, 60).astype(int):
        broken = bytearray(whole)
        broken[place] ^= 0x01
        (folder / name).write_bytes(broken)
        refused(folder, "cannot be trusted")
    (folder / name).write_bytes(whole[: len(whole) // 2])
    refused(folder, "cannot be trusted")
    (folder / name).write_bytes(whole + b" ")
    refused(folder, "cannot be trusted")
    (folder / name).write_bytes(whole)
    artefacts.load(folder)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda m: m["features"][0].update(center=0.25), "checksum"),
        (lambda m: m["training"].update(wild_rows=0, rows=1), "checksum"),
        (lambda m: m.pop("totals"), "totals: Field required"),
        (lambda m: m.pop("checksum"), "checksum: Field required"),
        (lambda m: m.update(more=1), "more: Extra inputs"),
        (lambda m: m["features"][0].update(more=1), "features.0.more: Extra inputs"),
        (lambda m: m["features"][0].update(scale=0.0), "features.0.scale"),
        (lambda m: m["features"][0].update(scale="1"), "features.0.scale"),
        (lambda m: m["features"][0].update(transform="__import__('os')"), "features.0.transform"),
        (lambda m: m.update(format=2), "format"),
        (lambda m: m.update(model_name="../../elsewhere"), "model_name"),
    ],
)
def test_an_edited_manifest_is_refused(folder: Path, change: Callable[[dict], Any], rule: str) -> None:
    rewrite(folder, change, sign=False)
    refused(folder, rule)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda m: m["features"][0].update(center=0.25), "model_version must be"),
        (lambda m: m["totals"]["*"].update(scale=99.0), "model_version must be"),
        (lambda m: m.update(model_version="0" * 12), "model_version must be"),
        (lambda m: m["tails"].update(other=m["tails"]["scan"]), "'other' is no kind"),
        (lambda m: m["tails"].update({"the sum": m["tails"]["scan"]}), "'the sum' is no kind"),
        (lambda m: m["tails"].pop("forest"), "lack those of the forest"),
        (lambda m: m["totals"].pop("*"), "over all window labels"),
        (lambda m: m["features"].pop(), "features must be numbered"),
        (lambda m: m.update(max_samples=1), "needs trees"),
    ],
)
def test_an_edited_manifest_with_a_right_checksum_is_refused_too(
    folder: Path, change: Callable[[dict], Any], rule: str
) -> None:
    rewrite(folder, change)
    refused(folder, rule)


@pytest.mark.parametrize("text", ["", "{", "null", "[]", '{"a":' * 5000, "9" * 5000, "\ud800", '{"format": NaN}'])
def test_a_manifest_that_is_no_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / artefacts.MANIFEST).write_bytes(text.encode("utf-8", "surrogatepass"))
    refused(folder, "cannot be trusted")


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(folder: Path, word: str) -> None:
    file = folder / artefacts.MANIFEST
    text = file.read_text()
    center = json.loads(text)["features"][0]["center"]
    file.write_text(text.replace(f'"center":{center}', f'"center":{word}', 1))
    refused(folder, "features.0.center")


def test_a_key_that_stands_twice_is_refused(folder: Path) -> None:
    file = folder / artefacts.MANIFEST
    file.write_text(file.read_text().replace('"format":1', '"format":1,"format":1', 1))
    refused(folder, "each once")


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (cell("left", 0, 10**7), "one parent"),
        (cell("left", 0, 0), "after their parents"),
        (cell("right", 0, -5), "after their parents"),
        (cell("feature", 0, 99), "features must be numbered"),
        (cell("threshold", 0, np.nan), "thresholds must be finite"),
        (cell("threshold", 0, 0.125), "model_version must be"),
        (cell("samples", 0, -1), "samples of a node"),
        (lambda table: table.slice(0, 0), "1 to 4,000,000 nodes"),
        (lambda table: table.drop_columns(["samples"]), "columns must be"),
        (lambda table: table.append_column("more", table.column("tree")), "columns must be"),
        (lambda table: table.cast(pa.schema([(name, pa.float64()) for name in table.column_names])), "columns must be"),
    ],
)
def test_an_edited_forest_is_refused(folder: Path, change: Callable[[pa.Table], pa.Table], rule: str) -> None:
    replant(folder, change)
    refused(folder, rule)


def test_a_forest_that_is_no_parquet_is_refused(folder: Path) -> None:
    (folder / artefacts.FOREST).write_bytes(b"PAR1 nothing PAR1")
    digest = hashlib.sha256(b"PAR1 nothing PAR1").hexdigest()
    rewrite(folder, lambda m: m.update(forest_sha256=digest))
    refused(folder, "no Parquet")


@pytest.mark.parametrize("name", [artefacts.MANIFEST, artefacts.FOREST])
def test_only_plain_files_of_the_folder_of_usual_size_are_read(folder: Path, tmp_path: Path, name: str) -> None:
    file = folder / name
    outside = tmp_path / "outside"
    file.rename(outside)
    refused(folder, "there is no model file")
    file.symlink_to(outside)
    refused(folder, "no link")
    file.unlink()
    os.mkfifo(file)
    refused(folder, "plain file")
    file.unlink()
    file.mkdir()
    refused(folder, "cannot be trusted")
    file.rmdir()
    with file.open("wb") as huge:
        huge.truncate(artefacts.MOST_BYTES[name] + 1)
    refused(folder, "larger than")


def test_a_budget_is_no_part_of_the_model(trained: tuple[Detector, dict]) -> None:
    detector, _ = trained
    assert detector.for_budget(0.5).version == detector.version
    assert replace(detector, name="other").version != detector.version


def test_a_digest_does_not_depend_on_the_order() -> None:
    assert artefacts.digest(["b", "a"]) == artefacts.digest(iter(["a", "b"])) != artefacts.digest(["a"])
