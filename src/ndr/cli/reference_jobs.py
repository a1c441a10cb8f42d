"""The jobs of a reference time or month: what is normal, the model, and the inventory of machines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ndr.cli.lakes import OpenLake
from ndr.errors import DataError, SpecError
from ndr.model.training import TrainingOptions
from ndr.news import plan_deviations
from ndr.publications import publications
from ndr.run import run
from ndr.scoring import learn
from ndr.sources.inventory import import_inventory, known_machines, understood
from ndr.sources.listing import Wanted, read_listing
from ndr.table import Publication
from ndr.tables.inventory_unload import InventoryUnload
from ndr.tables.model_training import ModelTraining
from ndr.time import DAY, Interval, days, iso

REGULAR = "REGULAR"


def make_baselines(opened: OpenLake, reference: datetime, mode: str) -> dict[str, Any]:
    """Make the baselines of a midnight, and what is compared with them.

    In a lake without any baselines REGULAR makes provisional ones of what there is; BACKFILL makes regular ones only.

    Raises:
        DataError: there are too few data before the midnight.
    """
    shop = opened.shop
    publication = _publication(opened, reference, provisional=mode == REGULAR and not _made_before(opened))
    opened.ledger.ask_publication(shop.config.feature_spec_version, reference, provisional=publication.provisional)
    made = run(plan_deviations(shop, Interval(reference, reference + DAY)), shop)
    return {
        "reference_time": iso(reference), "mode": mode, "provisional": publication.provisional,
        "horizons": {name: str(bounds) for name, bounds in publication.horizons.items()}, "parts": dict(made),
    }  # fmt: skip


def _made_before(opened: OpenLake) -> bool:
    return bool(opened.ledger.publication_records(opened.shop.config.feature_spec_version))


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
    """Unload the machines that are not known yet from Redshift, and add them to the inventory of a month.

    Raises:
        SpecError: there is no spec of the job.
    """
    from ndr.aws.inventory_unload import publish, unload  # noqa: PLC0415 - needs an extra

    spec = opened.shop.config.other("machine_inventory_unload")
    if not isinstance(spec, InventoryUnload):
        raise SpecError("jobs.machine_inventory_unload: there is no such spec; it says which table names machines.")
    known = {ip: machine.machine_name for ip, machine in known_machines(opened.lake, opened.ledger, month).items()}
    with TemporaryDirectory(prefix="ndr-unload-") as folder:
        unloaded = unload(spec, month, known, Path(folder))
        told: dict[str, Any] = {"month": f"{month:%Y-%m}", "rows": unloaded.rows, "way": unloaded.way}
        if unloaded.rows:
            wanted = Wanted(spec.output.ip_output_column, spec.output.name_output_column)
            entries = chain.from_iterable(read_listing(file, wanted) for file in unloaded.files)
            found = understood(f"redshift {spec.redshift.database}", entries)
            imported = import_inventory(opened.lake, opened.ledger, found, month)
            told |= {"new": imported.new, "changed": imported.changed, "quarantined": len(found.faults)}
        return told | {"published": publish(spec, month, unloaded)}


REFERENCE_JOBS: Mapping[str, Callable[[OpenLake, datetime, str], dict[str, Any]]] = {
    "fg_b_builder": make_baselines,
    "model_training": train,
}
