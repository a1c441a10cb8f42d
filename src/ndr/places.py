"""Places: where the tables of a configuration lie on S3, as its output prefixes say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ndr.errors import SpecError, shown
from ndr.specs import Config
from ndr.tables.settings import S3Prefix

OUTPUTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "delta_builder": ("delta", ("output.s3_prefix",)),
    "pair_counts_builder": ("pair_counts", ("pair_counts_output.s3_prefix",)),
    "fg_a_builder": ("fg_a", ("fg_a_output.s3_prefix", "output_s3_prefix")),
    "fg_b_builder": ("fg_b", ("fg_b_output.s3_prefix",)),
    "fg_c_builder": ("fg_c", ("fg_c_output.s3_prefix",)),
    "machine_inventory_unload": ("machine_inventory", ("output.s3_prefix",)),
    "inference_predictions": ("predictions", ("output.s3_prefix",)),
    "prediction_feature_join": ("prediction_feature_join", ("destination.s3.s3_prefix",)),
}
"""Job -> the folder of the lake that its output is, and the keys of its spec that may say where that lies."""
_PREFIX: TypeAdapter[str] = TypeAdapter(S3Prefix)


def mounts(config: Config) -> dict[str, str]:
    """Folder of the lake -> the prefix on S3 where it lies by the configuration.

    Raises:
        SpecError: a prefix is none, or two folders lie one in the other.
    """
    found = {}
    for job, (folder, keys) in OUTPUTS.items():
        for key in keys:
            if (said := _at(config.jobs.get(job, {}), key)) is not None:
                found[folder] = s3_prefix(said, f"jobs.{job}.{key}")
    for one, place in found.items():
        for other, beside in found.items():
            if one != other and f"{beside}/".startswith(f"{place}/"):
                raise SpecError(
                    f"the prefixes of {one} and {other} lie one in the other: {place}, {beside}; part them."
                )
    return found


def lake_root(config: Config) -> str:
    """Where the lake of these places lies: ``project_parameters.lake_s3_prefix``, else the folder that they share.

    Raises:
        SpecError: neither says.
    """
    if config.project_parameters.lake_s3_prefix:
        return config.project_parameters.lake_s3_prefix
    split = [place.removeprefix("s3://").split("/") for place in mounts(config).values()]
    shared = []
    for steps in zip(*(parts[:-1] for parts in split), strict=False):
        if len(set(steps)) > 1:
            break
        shared.append(steps[0])
    if not shared:
        raise SpecError(
            "project_parameters.lake_s3_prefix: nothing says where the lake lies, and the output prefixes of the jobs "
            "share no folder; write s3://bucket/folder there."
        )
    return "s3://" + "/".join(shared)


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
        return _PREFIX.validate_python(said)
    except ValidationError as error:
        raise SpecError(f"{where}: {shown(error.errors(include_url=False)[0]['msg'], 200)}.") from None
