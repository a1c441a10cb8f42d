"""What was imported into a lake, in another lake where nothing is built yet."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ndr.errors import DataError, shown
from ndr.lake import LocalLake
from ndr.ledger import Ledger
from ndr.tables.machines import machines
from ndr.time import SLICE, Interval

MODELS = "models"


def copy_imports(lake: LocalLake, ledger: Ledger, other: LocalLake, other_ledger: Ledger, version: str) -> None:
    """Give an empty lake the sessions, machines and named batches of one, and the baselines that were asked for there.

    Nothing that was built comes along. Of the named batches only the ends are kept: nothing else is made of them.

    Raises:
        DataError: a file is gone from the lake.
    """
    units, months = ledger.units(), ledger.parts(machines.name, machines.version(version))
    for path in [*(unit.path for unit in units if unit.path), *(part.path for part in months if part.path)]:
        if not lake.has(path):
            raise DataError(f"the file {path} is gone from the lake {shown(lake.uri, 300)}: import its content again.")
        _share(lake.fetch(path), other.root / path)
    for end, name in ledger.batches().items():
        other_ledger.name_batch(name, Interval(end - SLICE, end))
    other_ledger.import_units(units, [])
    if months:
        other_ledger.commit(months, [], {})
    for reference, provisional in ledger.asked_publications(version).items():
        other_ledger.ask_publication(version, reference, provisional=provisional)


def copy_models(lake: LocalLake, other: LocalLake) -> None:
    """Give a lake the models of another, and let the same one be in force."""
    if (lake.root / MODELS).is_dir():
        shutil.copytree(lake.root / MODELS, other.root / MODELS, dirs_exist_ok=True)


def _share(source: Path, target: Path) -> None:
    """One file under two names, for nobody writes into the files of a lake; where this cannot be, a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
