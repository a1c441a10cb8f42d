"""Places: where the tables of a configuration lie on S3, as its output prefixes say."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from typing import Any

from ndr.errors import SpecError, shown
from ndr.specs import Config
from ndr.tables.machines import machines
from ndr.tables.settings import s3_folder

SNAPSHOTS = "machine_snapshots"
"""What the snapshots of machines are called among the mounts: no table, but jobs write them for others to read."""
OUTPUTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "delta_builder": ("delta", ("output.s3_prefix",)),
    "pair_counts_builder": ("pair_counts", ("pair_counts_output.s3_prefix",)),
    "fg_a_builder": ("fg_a", ("fg_a_output.s3_prefix", "output_s3_prefix")),
    "fg_b_builder": ("fg_b", ("fg_b_output.s3_prefix",)),
    "fg_c_builder": ("fg_c", ("fg_c_output.s3_prefix",)),
    "machine_inventory_unload": (SNAPSHOTS, ("output.s3_prefix",)),
    "inference_predictions": ("predictions", ("output.s3_prefix",)),
    "prediction_feature_join": ("prediction_feature_join", ("destination.s3.s3_prefix",)),
}
"""Job -> the folder of the lake that its output is, and the keys of its spec that may say where that lies."""
_BESIDE = "machines"
"""The folder of the root where the lake keeps its machines if snapshots lie in the folder that they would have."""


def mounts(config: Config) -> dict[str, str]:
    """Folder of the lake -> the prefix on S3 where it lies by the configuration; the snapshots of machines are one.

    The lake's own machines never lie among those snapshots: their files are others, and each machine would be there
    twice.

    Raises:
        SpecError: a prefix is none, or two folders lie one in the other.
    """
    found = _outputs(config)
    root, snapshots = config.project_parameters.lake_s3_prefix or _shared(found), found.get(SNAPSHOTS)
    if root and snapshots:
        if within(root, snapshots):
            raise SpecError(
                f"the snapshots of machines and the lake lie one in the other: {snapshots}, {root}; part them."
            )
        if within(snapshots, f"{root}/{machines.folder}"):
            found[str(machines.folder)] = f"{root}/{_BESIDE}"
    return found


def within(place: str, folder: str) -> bool:
    """Whether a prefix is another one, or lies below it.

    >>> within("s3://b/a/x", "s3://b/a"), within("s3://b/ab", "s3://b/a")
    (True, False)
    """
    return f"{place}/".startswith(f"{folder}/")


def _outputs(config: Config) -> dict[str, str]:
    found: dict[str, str] = {}
    for job, (folder, keys) in OUTPUTS.items():
        for key in keys:
            if (said := _at(config.jobs.get(job, {}), key)) is not None:
                found[folder] = s3_prefix(said, f"jobs.{job}.{key}")
    for one, place in found.items():
        for other, beside in found.items():
            if one != other and within(beside, place):
                raise SpecError(
                    f"the prefixes of {one} and {other} lie one in the other: {place}, {beside}; part them."
                )
    return found


def lake_root(config: Config) -> str:
    """Where the lake of these places lies: ``project_parameters.lake_s3_prefix``, else the folder that tables share.

    Raises:
        SpecError: neither says; a bucket alone is no folder, for the lake would be all that is in it.
    """
    root = config.project_parameters.lake_s3_prefix or _shared(_outputs(config))
    if not root:
        raise SpecError(
            "project_parameters.lake_s3_prefix: nothing says where the lake lies, and the output prefixes of the jobs "
            "share no folder; write s3://bucket/folder there."
        )
    return root


def _shared(outputs: Mapping[str, str]) -> str | None:
    """The folder that the tables share, if it is more than a bucket."""
    split = [place.removeprefix("s3://").split("/")[:-1] for folder, place in outputs.items() if folder != SNAPSHOTS]
    shared = list(takewhile(lambda steps: len({*steps}) == 1, zip(*split, strict=False)))
    return "s3://" + "/".join(steps[0] for steps in shared) if len(shared) > 1 else None


def _at(values: Any, key: str) -> Any:
    for step in key.split("."):
        values = values.get(step) if isinstance(values, dict) else None
    return values


def s3_prefix(said: object, where: str) -> str:
    """A prefix on S3 that a configuration names at a place.

    Raises:
        SpecError: it is none.
    """
    try:
        return s3_folder(str(said))
    except ValueError as error:
        raise SpecError(f"{where}: {shown(str(error), 200)}.") from None
