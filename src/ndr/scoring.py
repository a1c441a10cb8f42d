"""Scoring: which model is in force in a lake, how one is trained there, and what is still to be scored."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ndr import artefacts
from ndr.engine import Files, Rows
from ndr.errors import ModelError, SpecError, shown
from ndr.fingerprint import fingerprints
from ndr.lake import Lake, write_staged
from ndr.model.detector import Scorer
from ndr.model.training import TrainingOptions, train
from ndr.publications import publications
from ndr.run import Workshop, files_of
from ndr.specs import Config
from ndr.table import Context, Given, in_force
from ndr.tables.fg_a import fg_a
from ndr.tables.fg_c import fg_c
from ndr.tables.inference import Inference
from ndr.tables.predictions import FEATURES, PASSED, predictions
from ndr.time import DAY, Interval

FOLDER = "models"
NAME = "isolation_forest"
POINTER = f"{FOLDER}/in_force.json"
"""Version of the features -> version of the model that scores them."""
PROVISIONAL = "provisional"
_HEX = 8


class LakeModels:
    """The models of a lake, and the one that its configuration says is in force: its own latest, if it names none.

    ``remote`` makes one of an endpoint; ``bring`` copies the folder of one from elsewhere to this machine.
    """

    def __init__(
        self, lake: Lake, config: Config, remote: Callable[[Inference], Scorer],
        bring: Callable[[str], Path] | None = None,
    ) -> None:  # fmt: skip
        self._lake, self._config, self._remote, self._bring = lake, config, remote, bring
        self._known: list[Scorer | None] = []
        self.provisional = False
        """Whether the model in force is the lake's own, trained while there were provisional baselines only."""
        self.folder: Path | None = None
        """Where the files of the model in force lie on this machine, once it is loaded; none of an endpoint."""

    def in_force(self) -> Scorer | None:
        """The model that scores, loaded when it is first asked for.

        Raises:
            ModelError: it is damaged, or was trained on features that are no more made so.
        """
        if not self._known:
            self._known.append(self._found())
        return self._known[0]

    def _found(self) -> Scorer | None:
        spec = inference(self._config)
        if spec.model.endpoint_name:
            return self._remote(spec)
        if spec.model.model_uri:
            return self._loaded(self._named(spec.model.model_uri), named=True)
        version = _versions(self._content(), self._lake).get(self._config.feature_spec_version)
        return self._loaded(self._own(version), named=False) if version else None

    def _named(self, uri: str) -> Path:
        folder = uri.removeprefix("file://")
        if "://" not in folder:
            return Path(folder)
        if self._bring is None or not uri.startswith("s3://"):
            raise ModelError(f"model_uri {shown(folder, 300)} is no folder of this machine; copy the model to one.")
        return self._bring(uri)

    def _own(self, version: str) -> Path:
        """The folder of a model of the lake, on this machine."""
        files = [
            self._lake.fetch(f"{FOLDER}/{NAME}/{version}/{file}") for file in (artefacts.MANIFEST, artefacts.FOREST)
        ]
        return files[0].parent

    def _loaded(self, folder: Path, *, named: bool) -> Scorer | None:
        detector, manifest = artefacts.load(folder)
        if manifest.inputs.get("features") == _features(self._config):
            self.provisional = not named and manifest.inputs.get("baselines") == PROVISIONAL
            self.folder = folder
            return detector.for_budget(inference(self._config).alert_share)
        if named:
            raise ModelError(
                f"the model in {shown(str(folder), 300)} was trained on features of another configuration or version "
                "of the program; train one on those of this lake with ndr train."
            )
        return None

    def put(self, detector: Any, facts: Mapping[str, Any]) -> str:
        """Keep a model that was trained here, and let it be in force; return where it lies."""
        folder = f"{FOLDER}/{detector.name}/{detector.version}"
        for name, data in artefacts.content(detector, facts).items():
            write_staged(self._lake, f"{folder}/{name}", data)
            self._lake.publish(f"{folder}/{name}")
        self._lake.amend(POINTER, lambda raw: self._pointing(raw, detector.version))
        self._known.clear()
        return self._lake.path(folder)

    def _pointing(self, raw: bytes | None, version: str) -> bytes:
        versions = _versions(raw, self._lake) | {self._config.feature_spec_version: version}
        return (json.dumps(versions, indent=1, sort_keys=True) + "\n").encode()

    def _content(self) -> bytes | None:
        file = self._lake.fetch(POINTER)
        try:
            return file.read_bytes() if file.is_file() else None
        except OSError as error:
            raise ModelError(f"{_pointer(self._lake)} cannot be read: {error.strerror}.") from error


def _pointer(lake: Lake) -> str:
    return shown(lake.path(POINTER), 300)


def _versions(raw: bytes | None, lake: Lake) -> dict[str, str]:
    """Version of the features -> the model in force, as the pointer says; it may have been edited."""
    try:
        told = json.loads(raw) if raw is not None else {}
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"{_pointer(lake)} cannot be read: {shown(str(error), 200)}; remove it and train a model with ndr train."
        ) from error
    if not isinstance(told, dict) or not all(isinstance(v, str) and v.isalnum() for v in told.values()):
        raise ModelError(f"{_pointer(lake)} does not name models; remove it and train one with ndr train.")
    return told


def inference(config: Config) -> Inference:
    """The spec of the job ``inference_predictions``."""
    spec = config.spec(predictions)
    if not isinstance(spec, Inference):
        raise SpecError("jobs.inference_predictions: no spec of predictions.")
    return spec


def _features(config: Config) -> str:
    """What the numbers that a model sees depend on, and which they are."""
    chosen = inference(config).payload.feature_columns or FEATURES
    return artefacts.digest([fingerprints(config)[fg_c.name], *chosen])


@dataclass(frozen=True)
class Trained:
    """A model that was made, and what there is to say of it."""

    version: str
    folder: str
    facts: Mapping[str, Any]


def learn(shop: Workshop, models: LakeModels, within: Interval | None, options: TrainingOptions) -> Trained:
    """Train a model on the deviations of a lake, and let it be in force.

    Raises:
        ModelError: there are too few rows, or none of the features tells anything.
    """
    table = training_matrix(shop, within, options.max_rows)
    chosen = inference(shop.config).payload.feature_columns or FEATURES
    detector, facts = train(table, chosen, options)
    parts = shop.ledger.parts(fg_c.name, shop.config.feature_spec_version, within)
    inputs = {"features": _features(shop.config), "parts": artefacts.digest(part.id for part in parts)}
    publication = in_force(publications(shop.config, shop.ledger), parts[-1].key.known_at)
    inputs["baselines"] = PROVISIONAL if publication and publication.provisional else "regular"
    told = {**facts, "inputs": inputs, "feature_spec_version": shop.config.feature_spec_version}
    return Trained(detector.version, models.put(detector, told), told)


def outgrown(shop: Workshop, models: LakeModels) -> Interval | None:
    """The time since regular baselines serve, when that is a day and the model in force knows provisional ones only."""
    last = shop.ledger.last_arrival()
    if shop.model is None or not models.provisional or last is None:
        return None
    regular = [p.reference for p in publications(shop.config, shop.ledger) if not p.provisional]
    return Interval(regular[0], last) if regular and last - regular[0] >= DAY else None


def training_matrix(shop: Workshop, within: Interval | None, most: int) -> pa.Table:
    """The rows that predictions are made of, as they are made for scoring; of more than ``most`` an even sample.

    Which rows are taken follows from their names alone.
    """
    version = shop.config.feature_spec_version
    deviations = [part for part in shop.ledger.parts(fg_c.name, version, within) if part.path]
    behaviour = [part for part in shop.ledger.parts(fg_a.name, version, within) if part.path]
    if not deviations:
        raise ModelError(
            "there are no deviations to train a model on: baselines come first (ndr status tells which there are; "
            "ndr run --warmup makes provisional ones)."
        )
    known = publications(shop.config, shop.ledger)
    keys = [part.key for part in deviations]
    context = Context(shop.config.project_parameters, shop.config.spec(predictions), keys, {}, known)
    inputs: dict[str, Files | Rows] = {
        "fg_a": files_of(fg_a, behaviour, shop), "fg_c": files_of(fg_c, deviations, shop),
    }  # fmt: skip
    inputs |= {n: Rows(r.columns, r.rows(context)) for n, r in predictions.reads.items() if isinstance(r, Given)}
    rows = predictions.expression(context.spec, context.settings, version)
    share = most / max(sum(part.rows for part in deviations), 1)
    if share < 1:
        rows = rows.filter(rows.record_id.hexdigest("md5")[:_HEX] < f"{int(share * 16**_HEX):0{_HEX}x}")
    batches = list(shop.engine.batches(shop.engine.compile(rows), inputs))
    return pa.Table.from_batches(batches) if batches else pa.table({name: [] for name in PASSED})
