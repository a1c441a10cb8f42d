"""Artefacts: models as files of data, trusted only when every hash and rule holds.

A model is a folder with ``manifest.json``, everything but the trees, and ``forest.parquet``, one row per node.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, ValidationError

from ndr.errors import ModelError, shown
from ndr.model.detector import Detector
from ndr.model.forest import Forest
from ndr.model.matrix import Feature
from ndr.model.tails import Closed, Tail
from ndr.model.training import Facts

MANIFEST, FOREST = "manifest.json", "forest.parquet"
MOST_BYTES = {MANIFEST: 16 << 20, FOREST: 128 << 20}
MOST_NODES = 4_000_000
NODES = pa.schema(
    [
        pa.field(name, pa.float64() if name == "threshold" else pa.int32(), nullable=False)
        for name in ("tree", "feature", "threshold", "left", "right", "samples")
    ]
)
"""Columns of the forest's file; see :class:`ndr.model.forest.Forest`."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, Field(max_length=200)]


class Manifest(Closed):
    """What ``manifest.json`` holds, in canonical JSON: sorted keys, no spaces."""

    format: Literal[1] = 1
    model_name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    model_version: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    feature_spec_version: Text
    features: tuple[Feature, ...] = Field(min_length=1, max_length=5000)
    labels: tuple[Text, ...] = Field(max_length=100)
    max_samples: int
    tails: dict[Text, dict[Text, Tail]]
    totals: dict[Text, Tail]
    inputs: dict[Text, Text]
    """Fingerprints of what it was trained on."""
    training: Facts
    forest_sha256: Digest
    checksum: Digest
    """SHA-256 of the canonical JSON of all other keys."""


def digest(names: Iterable[object]) -> str:
    """SHA-256 of a set of names, whatever their order."""
    return hashlib.sha256("\n".join(sorted(map(str, names))).encode()).hexdigest()


def content(detector: Detector, facts: Mapping[str, Any]) -> dict[str, bytes]:
    """The files that a model is: the manifest last, for it names the other.

    ``facts`` are those of the training, and beside them ``inputs`` and ``feature_spec_version``.

    Raises:
        ModelError: such a model could not be loaded again.
    """
    nodes = _nodes(detector.forest)
    told = {key: value for key, value in facts.items() if key in Facts.model_fields}
    said = {
        "format": 1,
        **detector.content(),
        "model_version": detector.version,
        "feature_spec_version": str(facts.get("feature_spec_version", "")),
        "inputs": dict(facts.get("inputs", {})),
        "training": told,
        "forest_sha256": hashlib.sha256(nodes).hexdigest(),
    }
    text = _canonical({**said, "checksum": hashlib.sha256(_canonical(said)).hexdigest()})
    _parsed(text, Path(detector.name) / detector.version)
    return {FOREST: nodes, MANIFEST: text}


def load(folder: str | Path) -> tuple[Detector, Manifest]:
    """The model of a folder, with its manifest.

    Raises:
        ModelError: a file is missing, too large, a link, damaged, edited, or does not describe a model.
    """
    folder = Path(folder)
    manifest = _parsed(_read(folder, MANIFEST), folder)
    nodes = _read(folder, FOREST)
    if hashlib.sha256(nodes).hexdigest() != manifest.forest_sha256:
        raise _broken(folder, FOREST, "its SHA-256 must be the one that the manifest names (forest_sha256)")
    detector = Detector(
        inputs=manifest.features,
        labels=manifest.labels,
        forest=_forest(nodes, manifest.max_samples, folder),
        tails=manifest.tails,
        totals=manifest.totals,
        name=manifest.model_name,
    )
    try:
        detector.check()
    except ModelError as error:
        raise _broken(folder, FOREST, str(error).rstrip(".")) from error
    if detector.version != manifest.model_version:
        raise _broken(folder, MANIFEST, f"model_version must be the hash of the content, {detector.version}")
    return detector, manifest


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _broken(folder: Path, file: str, rule: str) -> ModelError:
    return ModelError(
        f"the model file {shown(str(folder / file), 300)} cannot be trusted: {rule}. "
        "Nothing was loaded; restore the folder as it was written, or train again (ndr train)."
    )


def _parsed(text: bytes, folder: Path) -> Manifest:
    try:
        manifest = Manifest.model_validate_json(text)
        content = json.loads(text)
        checksum = content.pop("checksum")
        again = _canonical({**content, "checksum": checksum})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(shown(str(part), 40) for part in first["loc"])
        raise _broken(folder, MANIFEST, f"{place or 'the file'}: {shown(first['msg'], 200)}") from error
    except (ValueError, RecursionError) as error:
        raise _broken(folder, MANIFEST, f"it is no JSON: {shown(str(error), 100)}") from error
    if hashlib.sha256(_canonical(content)).hexdigest() != checksum:
        raise _broken(folder, MANIFEST, "its checksum must be the SHA-256 of all its other keys")
    if again != text:
        raise _broken(folder, MANIFEST, "it must be canonical JSON: sorted keys, each once, no spaces")
    return manifest


def _read(folder: Path, name: str) -> bytes:
    """A file of the folder itself: no link, no pipe, and no larger than such files are."""
    try:
        handle = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, ValueError) as error:  # a name with a NUL names nothing
        raise ModelError(
            f"there is no model file {shown(str(folder / name), 300)}: name a folder with {MANIFEST} and {FOREST}, "
            "or train a model (ndr train)."
        ) from error
    except OSError as error:
        rule = "it must be a plain file, no link" if (folder / name).is_symlink() else f"{error.strerror}"
        raise _broken(folder, name, rule) from error
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise _broken(folder, name, "it must be a plain file")
        with os.fdopen(handle, "rb", closefd=False) as file:
            data = file.read(MOST_BYTES[name] + 1)
    finally:
        os.close(handle)
    if len(data) > MOST_BYTES[name]:
        raise _broken(folder, name, f"it must not be larger than {MOST_BYTES[name] >> 20} MiB")
    return data


def _nodes(forest: Forest) -> bytes:
    columns = [pa.array(getattr(forest, field.name), field.type) for field in NODES]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(columns, schema=NODES), sink, compression="zstd")
    return bytes(sink.getvalue())


def _forest(data: bytes, max_samples: int, folder: Path) -> Forest:
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        if not file.schema_arrow.equals(NODES):
            raise _broken(folder, FOREST, f"its columns must be {', '.join(NODES.names)}")
        if not 0 < file.metadata.num_rows <= MOST_NODES:
            raise _broken(folder, FOREST, f"it must hold 1 to {MOST_NODES:,} nodes")
        table = file.read()
    except (pa.ArrowException, OSError) as error:
        raise _broken(folder, FOREST, f"it is no Parquet: {shown(str(error), 100)}") from error
    if any(column.null_count for column in table.columns):
        raise _broken(folder, FOREST, "no cell may be null")
    columns = {name: np.ascontiguousarray(table.column(name).to_numpy()) for name in NODES.names}
    return Forest(**columns, max_samples=max_samples)
