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
_POINTER = "in_force.json"
PROVISIONAL = "provisional"
_HEX = 8


class LakeModels:
    """The models of a lake, and the one that its configuration says is in force: its own latest, if it names none."""

    def __init__(self, root: Path, config: Config, remote: Callable[[Inference], Scorer]) -> None:
        self._root, self._config, self._remote = root / FOLDER, config, remote
        self._known: list[Scorer | None] = []
        self.provisional = False
        """Whether the model in force is the lake's own, trained while there were provisional baselines only."""

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
            folder = spec.model.model_uri.removeprefix("file://")
            if "://" in folder:
                raise ModelError(f"model_uri {shown(folder, 300)} is no folder of this machine; copy the model to one.")
            return self._loaded(Path(folder), named=True)
        version = self._pointers().get(self._config.feature_spec_version)
        return self._loaded(self._root / NAME / version, named=False) if version else None

    def _loaded(self, folder: Path, *, named: bool) -> Scorer | None:
        detector, manifest = artefacts.load(folder)
        if manifest.inputs.get("features") == _features(self._config):
            self.provisional = not named and manifest.inputs.get("baselines") == PROVISIONAL
            return detector.for_budget(inference(self._config).alert_share)
        if named:
            raise ModelError(
                f"the model in {shown(str(folder), 300)} was trained on features of another configuration or version "
                "of the program; train one on those of this lake with ndr train."
            )
        return None

    def put(self, detector: Any, facts: Mapping[str, Any]) -> Path:
        """Keep a model that was trained here, and let it be in force."""
        folder = artefacts.save(self._root, detector, facts)
        pointers = self._pointers() | {self._config.feature_spec_version: detector.version}
        draft = self._root / f"{_POINTER}.part"
        draft.write_text(json.dumps(pointers, indent=1, sort_keys=True) + "\n")
        draft.replace(self._root / _POINTER)
        self._known.clear()
        return folder

    def _pointers(self) -> dict[str, str]:
        file = self._root / _POINTER
        try:
            told = json.loads(file.read_text()) if file.is_file() else {}
        except (OSError, ValueError, RecursionError) as error:
            raise ModelError(
                f"{shown(str(file), 300)} cannot be read: {shown(str(error), 200)}; remove it and train a model with "
                "ndr train."
            ) from error
        if not isinstance(told, dict) or not all(isinstance(v, str) and v.isalnum() for v in told.values()):
            raise ModelError(f"{shown(str(file), 300)} does not name models; remove it and train one with ndr train.")
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
    folder: Path
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
