"""Keys that do something here, and what a spec of the previous platform may not have meant by them."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

from ndr.errors import SpecError
from ndr.lint.remark import DIFFERS, IGNORED, REFUSED, Remark, output_of, prefix_in
from ndr.places import OUTPUTS, lake_root, mounts
from ndr.specs import JOBS, Config
from ndr.tables.fg_a import CurrentBehaviour
from ndr.tables.fg_b import UNCOMPARED, Baselines
from ndr.time import DAY, SLICE

_RAREST = 0.5
_OWN_SEGMENTS = (24, 64)


def meaning_remarks(config: Config) -> Iterator[Remark]:
    """What is to be said about keys that have an effect."""
    yield from _names(config)
    yield from _uncompared(config)
    yield from _baselines(config)
    yield from _risk(config)
    yield from _places(config)
    yield from _pipelines(config)


def _names(config: Config) -> Iterator[Remark]:
    for job, values in config.jobs.items():
        for key, holds in (
            ("project_name", config.project_name),
            ("job_name", job),
            ("feature_spec_version", config.feature_spec_version),
        ):
            if key in values and str(values[key]) != holds:
                yield Remark(
                    f"jobs.{job}.{key}",
                    DIFFERS,
                    f"is {str(values[key])!r}, and is read as {holds!r}, as which it is kept.",
                )


def _uncompared(config: Config) -> Iterator[Remark]:
    named: dict[str, Any] = {
        "fg_b_builder.baseline_metrics": None,
        "fg_b_builder.baseline_required_metrics": None,
        "fg_b_builder.support_min": None,
        "fg_b_builder.anomaly_capping.key_metrics": None,
        "fg_c_builder.metrics": None,
    }
    for place in named:
        values: Any = config.jobs
        for step in place.split("."):
            values = values.get(step) if isinstance(values, dict) else None
        if without := [name for name in values or () if name in UNCOMPARED]:
            yield Remark(
                f"jobs.{place}", DIFFERS, f"{', '.join(without)}: no baselines are made of it, and none compared."
            )


def _baselines(config: Config) -> Iterator[Remark]:
    spec, where = config.spec(JOBS["fg_b_builder"]), "jobs.fg_b_builder"
    said = config.jobs.get("fg_b_builder", {})
    if not isinstance(spec, Baselines):
        return
    capping = spec.anomaly_capping
    if "z_max" in (said.get("anomaly_capping") or {}):
        usual = type(capping).model_fields["z_max"].default
        yield Remark(
            f"{where}.anomaly_capping.z_max", DIFFERS,
            f"{capping.z_max:g} robust deviations from the segment's median, by a true MAD that ends at the metric's "
            f"smallest step; the default is {usual:g}, and what is far below leaves out ordinary slices.",
        )  # fmt: skip
    if wild := [name for name in capping.key_metrics if "bytes" in name]:
        yield Remark(
            f"{where}.anomaly_capping.key_metrics", DIFFERS,
            f"{', '.join(wild)}: each of these caps slices, and a nightly backup is wild in bytes; name counts.",
        )  # fmt: skip
    slices = min(int(horizon[:-1]) for horizon in spec.horizons) * (DAY // SLICE)
    for metric, needed in spec.support_min.items():
        if needed > slices:
            yield Remark(
                f"{where}.support_min.{metric}", DIFFERS,
                f"{needed} slices with a value are more than the {slices} of the shortest horizon: no host has them, "
                "and all stay cold.",
            )  # fmt: skip
    for horizon in spec.safety_gaps:
        if horizon not in spec.horizons:
            yield Remark(f"{where}.safety_gaps.{horizon}", IGNORED, "is no horizon of this spec.")
    if spec.pair_counts.rarity_threshold > _RAREST:
        yield Remark(
            f"{where}.pair_counts.rarity_threshold", DIFFERS,
            "the rarity of a pair is 1 / (1 + its sessions), at most 0.5 for one that was seen: none is rare.",
        )  # fmt: skip


def _risk(config: Config) -> Iterator[Remark]:
    spec = config.spec(JOBS["fg_a_builder"])
    known = set(config.project_parameters.segments.values())
    for segment in spec.high_risk_segments if isinstance(spec, CurrentBehaviour) else ():
        if segment not in known and not _own_segment(segment):
            yield Remark(
                "jobs.fg_a_builder.high_risk_segments", DIFFERS,
                f"{segment!r} is the segment of no address: it is not among project_parameters.segments.",
            )  # fmt: skip


def _own_segment(text: str) -> bool:
    try:
        network = ip_network(text)
    except ValueError:
        return False
    return str(network) == text and network.prefixlen in _OWN_SEGMENTS


def _places(config: Config) -> Iterator[Remark]:
    inventory = config.project_parameters.ip_machine_mapping_s3_prefix
    written = output_of(config, "machine_inventory_unload")
    if inventory and written and prefix_in(inventory) != written:
        yield Remark(
            "project_parameters.ip_machine_mapping_s3_prefix", DIFFERS,
            f"names {inventory}, while machine_inventory_unload writes to {written}; machine names come from what that "
            "unloads, and from ndr machines import.",
        )  # fmt: skip
    elif inventory and not written:
        yield Remark(
            "project_parameters.ip_machine_mapping_s3_prefix", DIFFERS,
            "is not read: machine names come from the job machine_inventory_unload, which has no spec here, "
            "and from ndr machines import.",
        )  # fmt: skip
    if any(output_of(config, job) for job in OUTPUTS):
        try:
            mounts(config)
            lake_root(config)
        except SpecError as error:
            key, _, rest = str(error).partition(": ")
            known = key.startswith(("jobs.", "project_parameters."))
            yield Remark(key if known else "jobs", REFUSED, rest if known else str(error))


def _pipelines(config: Config) -> Iterator[Remark]:
    said = config.pipeline_defaults
    if said.engine == "duckdb" and said.processing_instance_count > 1:
        yield Remark(
            "pipeline_defaults.processing_instance_count", DIFFERS,
            f"is {said.processing_instance_count}: duckdb works on one machine, so the first does the work and the "
            "others end at once; write 1, and a larger processing_instance_type or engine spark if one is too slow.",
        )  # fmt: skip
