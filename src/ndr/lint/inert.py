"""Keys of the previous platform that do nothing here: which of them stood for something that is now different."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ndr.lint.remark import DIFFERS, IGNORED, Remark, elsewhere, prefix_in, said_at
from ndr.places import OUTPUTS
from ndr.specs import JOBS, OTHERS, Config, inert_keys
from ndr.tables import TABLES
from ndr.tables.fg_b import Baselines

Said = Iterator[tuple[str, str, str]]
"""(key below, or none; kind; remark)."""
Rule = Callable[[Config, str, Any, str], Said]
_JOINED_BY = {"host_ip", "window_label", "window_end_ts", "feature_spec_version"}
_SAME_PREFIX_LENGTH = 24


def inert_remarks(config: Config) -> Iterator[Remark]:
    """What is to be said about the keys that are set and do nothing."""
    for job, spec in [
        *((name, config.spec(table)) for name, table in JOBS.items()),
        *((name, other) for name in OTHERS if (other := config.other(name)) is not None),
    ]:
        for key, instead in inert_keys(spec).items():
            said = said_at(config.jobs.get(job), key)
            rule = RULES.get((job, key)) or ANYWHERE.get(key.rpartition(".")[2], _as_described)
            for below, kind, remark in rule(config, job, said, instead):
                yield Remark(".".join(filter(None, ("jobs", job, key, below))), kind, remark)


def _as_described(_: Config, _job: str, _said: Any, instead: str) -> Said:
    yield "", IGNORED, f"accepted, and does nothing here: {instead}"


def _differs(_: Config, _job: str, _said: Any, instead: str) -> Said:
    yield "", DIFFERS, f"does nothing here: {instead}"


def _output(_: Config, job: str, said: Any, _instead: str) -> Said:
    """The prefix of an output is where its table lies on S3; the rest is as tables always lie."""
    partitions = TABLES[OUTPUTS[job][0]].partitions if OUTPUTS[job][0] in TABLES else JOBS[job].partitions
    for key, value in _set(said):
        if key == "format" and str(value).lower() != "parquet":
            yield key, DIFFERS, f"is {value!r}; tables are always written as Parquet, compressed by zstd."
        elif key == "partition_keys" and tuple(value) != partitions:
            yield (
                key,
                DIFFERS,
                f"the table is always partitioned by {', '.join(partitions)}; see that its readers know.",
            )
        elif key == "write_mode" and str(value).lower() == "append":
            yield (
                key,
                DIFFERS,
                "nothing is appended: a batch replaces exactly what it wrote before, whole or not at all.",
            )
        elif key in {"compression", "dataset", "layout"}:
            yield key, IGNORED, "does nothing here: a table lies under its prefix, as Parquet compressed by zstd."


def _logs(config: Config, job: str, said: Any, _instead: str) -> Said:
    """Logs are recognised by their content, and mapped by the key ``sources``."""
    own = prefix_in(said_at(config.jobs.get("delta_builder"), "input"))
    for key, value in _set(said):
        if key == "field_mapping" and value:
            yield (
                key,
                DIFFERS,
                ("is not read; write under sources.<format>.field_mapping which field each column of a session is in."),
            )
        elif key == "s3_prefix" and job != "delta_builder" and own and prefix_in(value) != own:
            yield (
                key,
                DIFFERS,
                (
                    f"names {value}, and logs are imported once, by delta_builder, from {own}; "
                    "pairs are counted in what was imported."
                ),
            )
        elif key == "schema_projection":
            yield key, IGNORED, "does nothing here: of each record all is read that a session can hold."
        elif key in {"format", "compression", "layout"}:
            yield (
                key,
                IGNORED,
                (
                    "does nothing here: format and compression of a file are recognised by its content; the files of a "
                    "batch lie in the folder of its name, or in dt=…/hh=…/mm=…."
                ),
            )


def _read(producer: str) -> Rule:
    """What is read follows from the declarations; a prefix should be the one that is written."""

    def rule(config: Config, _job: str, said: Any, instead: str) -> Said:
        below = "s3_prefix" if isinstance(said, dict) else ""
        if remark := elsewhere(config, said, producer):
            yield below, DIFFERS, remark
        elif isinstance(said, dict) and said.get("field_mapping"):
            yield "field_mapping", DIFFERS, f"does nothing here: {instead}"

    return rule


def _quality(_: Config, _job: str, said: Any, _instead: str) -> Said:
    off = {
        "drop_malformed_ip": "a record without two addresses is always quarantined, with its line and the reason.",
        "emit_metrics": "what was read, kept and quarantined is always kept with the batch.",
    }
    kept = {
        "duration_non_negative": "such a session is kept, with a duration of 0, and counted.",
        "bytes_non_negative": "negative bytes become unknown (null), and are counted; the session is kept.",
        "filter_null_bytes_ports": "sessions without bytes or ports, such as ICMP, are kept; unknown stays null.",
    }
    for key, value in _set(said):
        if key in off and not value:
            yield key, DIFFERS, f"is off; {off[key]}"
        elif key in kept and (value or key != "filter_null_bytes_ports"):
            same = value and key != "filter_null_bytes_ports"
            yield key, IGNORED if same else DIFFERS, f"is {'on' if value else 'off'}; {kept[key]}"


def _enrichment(config: Config, _job: str, said: Any, instead: str) -> Said:
    baselines = config.spec(JOBS["fg_b_builder"])
    known = set(config.project_parameters.non_persistent_prefixes)
    if isinstance(baselines, Baselines):
        known |= set(baselines.non_persistent_machine_prefixes)
    for key, value in _set(said):
        if key == "vdi_hostname_prefixes" and set(value) - known:
            yield (
                key,
                DIFFERS,
                (
                    f"{', '.join(sorted(set(value) - known))}: not among the prefixes of non_persistent_prefixes, "
                    "where machines that come and go are known by; name them there."
                ),
            )
        elif key == "port_sets_location":
            yield key, DIFFERS, f"is not read: {instead}; write what stands there into it."


def _roles(_: Config, _job: str, said: Any, _instead: str) -> Said:
    for place, role in enumerate(said or ()):
        swapped = "dest" in str(role.get("host_ip")) and "dest" in str(role.get("bytes_sent"))
        if swapped:
            yield (
                f"{place}.bytes_sent",
                DIFFERS,
                (
                    "bytes_src_sum is what the source of a session sent, in both roles; "
                    "what the host of an inbound session sent is in_bytes_dst_sum."
                ),
            )
    if len(said or ()) != len(("outbound", "inbound")):
        yield "", DIFFERS, "both roles are always made: outbound, host = source, and inbound, host = destination."


def _filters(_: Config, _job: str, said: Any, _instead: str) -> Said:
    for key, value in _set(said):
        if key == "require_destination_port" and value:
            yield key, DIFFERS, "pairs without a port, such as ICMP, are kept; their dst_port is null."
        elif key == "require_nonnull_ips" and not value:
            yield key, DIFFERS, "every session has both addresses; records without are quarantined."


def _segments(_: Config, _job: str, said: Any, instead: str) -> Said:
    length = said.get("prefix_length") if isinstance(said, dict) else None
    same = isinstance(said, dict) and set(said) <= {"strategy", "prefix_length"}
    if not same or length not in {None, _SAME_PREFIX_LENGTH}:
        yield "", DIFFERS, f"does nothing here: {instead}; list your networks there."


def _join_keys(_: Config, _job: str, said: Any, instead: str) -> Said:
    if {*(said or ()), "feature_spec_version"} != _JOINED_BY:
        yield "", DIFFERS, f"does nothing here: {instead}, host_ip, window_label and window_end_ts."


def _horizons(config: Config, _job: str, said: Any, instead: str) -> Said:
    baselines = config.spec(JOBS["fg_b_builder"])
    if isinstance(baselines, Baselines) and set(said or ()) != set(baselines.horizons):
        yield "", DIFFERS, f"does nothing here: {instead}; fg_b_builder makes {', '.join(baselines.horizons)}."


def _pair_use(config: Config, _job: str, said: Any, instead: str) -> Said:
    baselines = config.spec(JOBS["fg_b_builder"])
    own = baselines.pair_counts.rarity_threshold if isinstance(baselines, Baselines) else None
    for key, value in _set(said):
        if key == "rarity_threshold" and value != own:
            yield key, DIFFERS, f"does nothing here: {instead}, which is {own}."
        elif key == "enabled" and not value:
            yield key, DIFFERS, "is off; pairs are always looked up, and the columns about them are always there."
        elif key == "s3_prefix" and all(
            elsewhere(config, value, job) for job in ("pair_counts_builder", "fg_b_builder")
        ):
            yield key, DIFFERS, str(elsewhere(config, value, "pair_counts_builder"))


def _enabled(_: Config, _job: str, said: Any, instead: str) -> Said:
    if not said:
        yield "", DIFFERS, f"is off, and does nothing here: {instead}."


def _head_days(_: Config, _job: str, said: Any, instead: str) -> Said:
    if said:
        yield "", DIFFERS, f"does nothing here: {instead}."


def _features(config: Config, _job: str, said: Any, _instead: str) -> Said:
    producers = {"fg_a": "fg_a_builder", "fg_c": "fg_c_builder"}
    for name, value in _set(said):
        dataset = str(value.get("dataset") or name)
        if dataset not in producers:
            yield name, DIFFERS, f"is not read: what is scored are the rows of fg_a and fg_c, and {dataset} is neither."
            continue
        if remark := elsewhere(config, value, producers[dataset]):
            yield f"{name}.s3_prefix", DIFFERS, remark
        if value.get("required") is False:
            yield f"{name}.required", DIFFERS, "windows are scored that have both, behaviour and deviations."


def _set(said: Any) -> list[tuple[str, Any]]:
    """The keys of a map that have a value."""
    return [(key, value) for key, value in said.items() if value is not None] if isinstance(said, dict) else []


RULES: Mapping[tuple[str, str], Rule] = {
    ("delta_builder", "input"): _logs,
    ("delta_builder", "dq"): _quality,
    ("delta_builder", "enrichment"): _enrichment,
    ("delta_builder", "roles"): _roles,
    ("delta_builder", "output"): _output,
    ("pair_counts_builder", "traffic_input"): _logs,
    ("pair_counts_builder", "pair_counts_output"): _output,
    ("pair_counts_builder", "filters"): _filters,
    ("pair_counts_builder", "segment_mapping"): _segments,
    ("fg_a_builder", "delta_input"): _read("delta_builder"),
    ("fg_a_builder", "delta_s3_prefix"): _read("delta_builder"),
    ("fg_a_builder", "pair_counts_input"): _read("pair_counts_builder"),
    ("fg_a_builder", "fg_a_output"): _output,
    ("fg_a_builder", "output_s3_prefix"): _output,
    ("fg_a_builder", "segment_mapping"): _segments,
    ("fg_b_builder", "fg_a_input"): _read("fg_a_builder"),
    ("fg_b_builder", "pair_counts.s3_prefix"): _read("pair_counts_builder"),
    ("fg_b_builder", "pair_counts.enabled"): _enabled,
    ("fg_b_builder", "fg_b_output"): _output,
    ("fg_b_builder", "segment_mapping"): _segments,
    ("fg_b_builder", "join_keys"): _join_keys,
    ("fg_b_builder", "anomaly_capping.w_anom"): _differs,
    ("fg_c_builder", "fg_a_input"): _read("fg_a_builder"),
    ("fg_c_builder", "fg_b_input"): _read("fg_b_builder"),
    ("fg_c_builder", "fg_c_output"): _output,
    ("fg_c_builder", "horizons"): _horizons,
    ("fg_c_builder", "join_keys"): _join_keys,
    ("fg_c_builder", "pair_counts"): _pair_use,
    ("fg_c_builder", "segment_mapping"): _segments,
    ("fg_c_builder", "eps"): _differs,
    ("inference_predictions", "feature_inputs"): _features,
    ("inference_predictions", "join_keys"): _join_keys,
    ("inference_predictions", "output"): _output,
}
"""(job, key) -> what is said about it, where there is more to say than its description."""
ANYWHERE: Mapping[str, Rule] = {"head_days": _head_days}
"""The same by the last step of the key."""
