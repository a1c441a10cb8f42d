"""The jobs of a reference time or month: what is normal, the model, and the inventory of machines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ndr.cli.lakes import OpenLake
from ndr.errors import DataError, SpecError
from ndr.model.training import TrainingOptions
from ndr.news import plan_deviations, plan_scores, scored
from ndr.places import within
from ndr.publications import publications
from ndr.run import run
from ndr.scoring import learn
from ndr.sources.inventory import import_inventory, understood
from ndr.sources.listing import Entry, Wanted, read_listing
from ndr.table import Publication
from ndr.tables.inventory_unload import InventoryUnload
from ndr.tables.machines import machines
from ndr.tables.model_training import ModelTraining
from ndr.time import DAY, Interval, days, iso

if TYPE_CHECKING:
    from ndr.aws.inventory_unload import Snapshot

REGULAR = "REGULAR"


def make_baselines(opened: OpenLake, reference: datetime, mode: str) -> dict[str, Any]:
    """Make the baselines of a midnight, and what is compared with them.

    In a lake without any baselines REGULAR makes provisional ones of what there is; BACKFILL makes regular ones only.

    Raises:
        DataError: there are too few data before the midnight.
    """
    shop = opened.shop
    publication = _publication(
        opened, reference, provisional=mode == REGULAR and _may_be_provisional(opened, reference)
    )
    opened.ledger.ask_publication(shop.config.feature_spec_version, reference, provisional=publication.provisional)
    day = Interval(reference, reference + DAY)
    made = run(plan_deviations(shop, day, [reference]), shop)
    made |= run(plan_scores(shop, day, scored(shop), onward=True, references=[reference]), shop)
    return {
        "reference_time": iso(reference), "mode": mode, "provisional": publication.provisional,
        "horizons": {name: str(bounds) for name, bounds in publication.horizons.items()}, "parts": dict(made),
    }  # fmt: skip


def _may_be_provisional(opened: OpenLake, reference: datetime) -> bool:
    """Whether provisional baselines will do: there are no others, or these are provisional already."""
    version = opened.shop.config.feature_spec_version
    records = opened.ledger.publication_records(version)
    asked = opened.ledger.asked_publications(version).get(reference, False)
    return asked or not records or bool(records.get(reference, {}).get("provisional"))


def _publication(opened: OpenLake, reference: datetime, *, provisional: bool) -> Publication:
    config, ledger = opened.shop.config, opened.ledger
    for warm in (False, True) if provisional else (False,):
        for each in publications(config, ledger, {reference: warm}):
            if each.reference == reference:
                return each
    last = ledger.last_arrival()
    if last is None or reference > last:
        why = f"the lake ends at {iso(last)}" if last else "the lake holds no sessions"
    else:
        why = "no horizon holds enough days before it"
    raise DataError(
        f"baselines of {iso(reference)} cannot be made: {why}. Choose a later midnight when there are more."
    )


def train(opened: OpenLake, reference: datetime, mode: str) -> dict[str, Any]:
    """Train a model on the deviations before a midnight, and let it be in force.

    Raises:
        ModelError: there are too few.
    """
    del mode
    spec = opened.shop.config.other("model_training") or ModelTraining()
    if not isinstance(spec, ModelTraining):
        raise SpecError("jobs.model_training: no spec of a training.")
    within = Interval(reference - days(spec.days), reference)
    trained = learn(opened.shop, opened.models, within, TrainingOptions(max_rows=spec.max_rows))
    return {"model_version": trained.version, "within": str(within), "rows": trained.facts["rows"]}


def unload_machines(opened: OpenLake, month: datetime) -> dict[str, Any]:
    """Unload the machines that the prefix does not have yet from Redshift, and add them to the inventory of a month.

    Months in the prefix of which the inventory knows nothing, as the previous platform left them, are added first. What
    a run that was cut short added, and did not publish, is not in the prefix, and therefore comes again.

    Raises:
        SpecError: there is no spec of the job, or its snapshots would lie among the files of the lake.
    """
    from ndr.aws.inventory_unload import publish, published, snapshots, unload  # noqa: PLC0415 - needs an extra

    spec = opened.shop.config.other("machine_inventory_unload")
    if not isinstance(spec, InventoryUnload):
        raise SpecError("jobs.machine_inventory_unload: there is no such spec; it says which table names machines.")
    _apart(opened, spec)
    with TemporaryDirectory(prefix="ndr-unload-") as folder:
        there = list(snapshots(spec, Path(folder)))
        adopted = _adopted(opened, there, spec)
        unloaded = unload(spec, month, published(there), Path(folder))
        told: dict[str, Any] = {"month": f"{month:%Y-%m}", "rows": unloaded.rows, "way": unloaded.way}
        told |= {"adopted": adopted} if adopted else {}
        if unloaded.rows:
            wanted = Wanted(spec.output.ip_output_column, spec.output.name_output_column)
            entries = chain.from_iterable(read_listing(file, wanted) for file in unloaded.files)
            found = understood(f"redshift {spec.redshift.database}", entries)
            imported = import_inventory(opened.lake, opened.ledger, found, month)
            told |= {"new": imported.new, "changed": imported.changed, "quarantined": len(found.faults)}
        return told | {"published": publish(spec, month, unloaded)}


def _apart(opened: OpenLake, spec: InventoryUnload) -> None:
    own, _, _ = opened.lake.path(f"{machines.folder}/part").rpartition("/")
    prefix = spec.output.s3_prefix
    if within(own, prefix) or within(prefix, own):
        raise SpecError(
            f"jobs.machine_inventory_unload.output.s3_prefix: {prefix} is where the lake keeps machines of its own "
            f"({own}), and each would be there twice; name another one, or another project_parameters.lake_s3_prefix."
        )


def _adopted(opened: OpenLake, there: Iterable[Snapshot], spec: InventoryUnload) -> list[str]:
    """Add snapshots of months of which the inventory knows nothing; return these months."""
    known = {part.key.start for part in opened.ledger.parts(machines.name, "")}
    adopted = []
    for month, rows in there:
        if month not in known and rows:
            entries = (Entry(line, ip, name, "") for line, (ip, name) in enumerate(rows, 1))
            found = understood(f"{spec.output.s3_prefix}/snapshot_month={month:%Y-%m}/", entries)
            import_inventory(opened.lake, opened.ledger, found, month)
            adopted.append(f"{month:%Y-%m}")
    return adopted


REFERENCE_JOBS: Mapping[str, Callable[[OpenLake, datetime, str], dict[str, Any]]] = {
    "fg_b_builder": make_baselines,
    "model_training": train,
}
