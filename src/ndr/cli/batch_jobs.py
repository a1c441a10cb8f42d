"""The jobs of a batch: its logs, what hosts did in it, how unusual that is, and where the results go.

Each makes what it is named after for its batch, and again for whatever imports have changed that no finished batch was
built on; what it reads and lacks is made with it. The last job that is configured says that the batch is finished.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ndr.cli.destinations import deliver, feed
from ndr.cli.lakes import S3, OpenLake
from ndr.cli.logs import found_files, source_specs
from ndr.errors import NotReadyError, SpecError, UsageError, shown
from ndr.log import log
from ndr.news import plan_behaviour, plan_deviations, plan_scores, reach_of_news
from ndr.places import s3_prefix
from ndr.plan import Planner
from ndr.run import run
from ndr.sources.files import FileReport
from ndr.sources.imports import Batch, Importer
from ndr.table import Table
from ndr.tables.delta import delta
from ndr.tables.pair_counts import pair_counts
from ndr.tables.prediction_feature_join import prediction_feature_join
from ndr.tables.predictions import predictions
from ndr.time import Interval, parse_instant

_LAST = ("feature_store_ingest", "prediction_feature_join", "inference_predictions", "fg_c_builder")
"""The jobs after which a batch can be finished; the first that is configured is the one."""


def take_logs(opened: OpenLake, batch: Batch) -> dict[str, Any]:
    """Import the logs of a batch, and add them up by host and quarter hour."""
    with TemporaryDirectory(prefix="ndr-logs-") as folder:
        files = _logs(opened, batch, Path(folder))
        config = opened.shop.config
        importer = Importer(
            opened.lake, opened.ledger, source_specs(config), config.project_parameters.clock, None, batch, files
        )
        reports = importer.files(list(files))
    return {**_counted(reports, files), **_sliced(opened, batch, delta)}


def _logs(opened: OpenLake, batch: Batch, folder: Path) -> dict[Path, str]:
    """The files of a batch here -> what they are called where they come from.

    They lie in a folder of the batch's name, or in that of its first quarter hour.

    Raises:
        SpecError: nothing says where logs lie.
        NotReadyError: there are none of this batch.
    """
    said = opened.shop.config.jobs.get("delta_builder", {}).get("input")
    prefix = str(said.get("s3_prefix") or "").rstrip("/") if isinstance(said, dict) else ""
    if not prefix:
        raise SpecError(
            "jobs.delta_builder.input.s3_prefix: nothing says where the logs lie; write s3://bucket/folder."
        )
    if prefix.startswith(S3):
        prefix = s3_prefix(prefix, "jobs.delta_builder.input.s3_prefix")
    start = batch.interval.start
    places = [f"{prefix}/{batch.name}", f"{prefix}/dt={start:%Y-%m-%d}/hh={start:%H}/mm={start:%M}"]
    for place in places:
        if found := _copies(place, folder):
            return found
    raise NotReadyError(
        f"batch {batch.name} has no logs: nothing lies in {shown(places[0], 200)} nor in {shown(places[1], 200)}. "
        "Run the job again when they have been delivered."
    )


def _copies(place: str, folder: Path) -> dict[Path, str]:
    """The files of a place here -> what they are called there; none where there is no such place."""
    try:
        paths, named = found_files([place.removeprefix("file://")], folder)
    except UsageError:
        return {}
    return {path: named.get(path, str(path)) for path in paths}


def _counted(reports: list[FileReport], files: Mapping[Path, str]) -> dict[str, Any]:
    refused = {files[r.path]: str(r.reason) for r in reports if r.outcome == "refused"}
    return {
        "files": len(reports),
        "records_read": sum(r.read for r in reports),
        "sessions": sum(r.sessions for r in reports),
        "quarantined": sum(sum(r.quarantined.values()) for r in reports),
        "filtered": sum(sum(r.filtered.values()) for r in reports),
        "known_files": sum(r.outcome == "known" for r in reports),
        "refused": refused,
    }


def count_pairs(opened: OpenLake, batch: Batch) -> dict[str, Any]:
    """Count who talked to whom in a batch."""
    return _sliced(opened, batch, pair_counts)


def _sliced(opened: OpenLake, batch: Batch, table: Table) -> dict[str, Any]:
    """Make a table of slices wherever the batch has sessions, late ones included."""
    shop = opened.shop
    _check_imported(opened, batch)
    told = (unit.report.get("slices_from") for unit in opened.ledger.units_of_batch(batch.interval.end))
    first = min([batch.interval.start, *(parse_instant(each) for each in told if each)])
    steps = Planner(shop.config, shop.ledger, shop.lake).plan([table], Interval(first, batch.interval.end))
    return _made(batch, run(steps, shop))


def _check_imported(opened: OpenLake, batch: Batch) -> None:
    if batch.interval.end not in opened.ledger.batches():
        raise NotReadyError(
            f"batch {batch.name} {batch.interval} is not known to the lake yet: job delta_builder imports it; run this "
            "job again after it."
        )


def describe(opened: OpenLake, batch: Batch) -> dict[str, Any]:
    """Make what hosts did, and the beacons among it."""
    _check_imported(opened, batch)
    return _made(batch, run(plan_behaviour(opened.shop, _reach(opened, batch)), opened.shop))


def compare(opened: OpenLake, batch: Batch) -> dict[str, Any]:
    """Make how far hosts are from their baselines, those included that are due and not there."""
    _check_imported(opened, batch)
    made = _features(opened, batch)
    _finish(opened, "fg_c_builder")
    return _made(batch, made)


def _features(opened: OpenLake, batch: Batch) -> dict[str, int]:
    """What hosts did and how far off that is; usually there already, when a later job asks."""
    within = _reach(opened, batch)
    made = run(plan_behaviour(opened.shop, within), opened.shop)
    return made | run(plan_deviations(opened.shop, within), opened.shop)


def score(opened: OpenLake, batch: Batch) -> dict[str, Any]:
    """Let the model in force score the batch."""
    made = _scored(opened, batch, [predictions])
    _finish(opened, "inference_predictions")
    return _made(batch, made) | _model(opened)


def join(opened: OpenLake, batch: Batch, *, again: bool = False) -> dict[str, Any]:
    """Join predictions with their features, and bring them where the spec says."""
    within = _reach(opened, batch)
    made = _scored(opened, batch, [predictions, prediction_feature_join])
    told = deliver(opened, prediction_feature_join, within, again=again)
    _finish(opened, "prediction_feature_join")
    return _made(batch, made) | _model(opened) | told


def send(opened: OpenLake, batch: Batch, *, again: bool = False) -> dict[str, Any]:
    """Send the rows of a batch to the Feature Store."""
    within = _reach(opened, batch)
    _scored(opened, batch, [predictions])
    told = feed(opened, within, again=again)
    _finish(opened, "feature_store_ingest")
    return {"batch": batch.name, **told}


def _scored(opened: OpenLake, batch: Batch, tables: list[Table]) -> dict[str, int]:
    _check_imported(opened, batch)
    if opened.shop.model is None:
        log("no model in force", level=logging.WARNING, advice="let job model_training train one, or name a model")
    made = _features(opened, batch)
    within = _reach(opened, batch)
    return made | run(plan_scores(opened.shop, within, tables, onward=True), opened.shop)


def _reach(opened: OpenLake, batch: Batch) -> Interval:
    """The batch, and what news since the last finished batch can change."""
    own, news = batch.interval, reach_of_news(opened.shop)
    return Interval(min(own.start, news.start), max(own.end, news.end)) if news else own


def _finish(opened: OpenLake, job: str) -> None:
    """Note that everything is built on what was imported, if nothing comes after this job.

    What a changed configuration makes stale in the past is not looked at by jobs, so the note names no fingerprint: the
    next ndr run looks everywhere.
    """
    configured = [name for name in _LAST if name in opened.shop.config.jobs]
    if job == (configured or _LAST[-1:])[0]:
        opened.ledger.settle("")


def _made(batch: Batch, made: Mapping[str, int]) -> dict[str, Any]:
    return {"batch": batch.name, "interval": str(batch.interval), "parts": dict(made)}


def _model(opened: OpenLake) -> dict[str, Any]:
    model = opened.shop.model
    return {"model_name": model.name, "model_version": model.version} if model else {"model_version": None}


BATCH_JOBS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "delta_builder": take_logs,
    "pair_counts_builder": count_pairs,
    "fg_a_builder": describe,
    "fg_c_builder": compare,
    "inference_predictions": score,
    "prediction_feature_join": join,
    "feature_store_ingest": send,
}
"""Job -> what does it, given the lake and the batch; and ``again``, to those that bring rows elsewhere."""
DELIVERING = ("prediction_feature_join", "feature_store_ingest")
