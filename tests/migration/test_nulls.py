"""A null in a spec says nothing, as where a class of the previous platform was written down with all its keys."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from migration.keeping import at, specs
from ndr.errors import SpecError
from ndr.lint import remarks
from ndr.spec_store import PARAMETERS
from ndr.specs import JOBS, Config, config_of

OPTIONAL: dict[str, str] = {
    "delta_builder": """
        input.compression input.schema_projection input.field_mapping dq dq.drop_malformed_ip dq.duration_non_negative
        dq.bytes_non_negative dq.filter_null_bytes_ports dq.emit_metrics enrichment enrichment.vdi_hostname_prefixes
        enrichment.port_sets_location roles operators operators.1.params output.write_mode""",
    "pair_counts_builder": """
        traffic_input.layout traffic_input.field_mapping filters filters.require_nonnull_ips
        filters.require_destination_port segment_mapping""",
    "fg_a_builder": """
        delta_s3_prefix output_s3_prefix pair_counts_input high_risk_segments segment_mapping lookback30d
        lookback30d.rare_thresholds lookback30d.rare_thresholds.peer lookback30d.rare_thresholds.port
        lookback30d.rare_thresholds.pair""",
    "fg_b_builder": """
        horizons pair_counts pair_counts.enabled pair_counts.s3_prefix pair_counts.rarity_threshold segment_mapping
        segment_mapping.strategy segment_mapping.prefix_length anomaly_capping anomaly_capping.key_metrics
        anomaly_capping.z_max anomaly_capping.w_anom baseline_metrics baseline_required_metrics support_min
        support_min.sessions_cnt join_keys safety_gaps safety_gaps.7d safety_gaps.7d.head_days
        ip_machine_mapping ip_machine_mapping.s3_prefix_key ip_machine_mapping.ip_column
        ip_machine_mapping.machine_name_column non_persistent_machine_prefixes""",
    "fg_c_builder": "horizons join_keys metrics transforms pair_counts segment_mapping eps z_max",
    "machine_inventory_unload": """
        redshift.db_user query.sql query.ip_column query.name_column query.active_filter query.additional_filters
        output.output_format output.partitioning output.ip_output_column output.name_output_column
        processing_image_uri""",
    "non_persistent_prefixes": "prefixes",
    "inference_predictions": """
        feature_inputs.fg_a.dataset feature_inputs.fg_a.required join_keys model.model_uri model.timeout_seconds
        model.max_payload_mb
        model.max_records_per_payload model.max_retries model.backoff_seconds model.content_type model.accept
        model.model_version model.model_name model.max_workers model.region output.format output.partition_keys
        output.write_mode output.dataset payload payload.scaler_params payload.outlier_params
        prediction_schema prediction_schema.score_column prediction_schema.label_column join_output""",
    "prediction_feature_join": """
        destination.s3.format destination.s3.partition_keys destination.s3.write_mode destination.redshift.db_user
        destination.redshift.pre_sql destination.redshift.post_sql destination.redshift.copy_options
        destination.iceberg""",
    "project_parameters": "ip_machine_mapping_s3_prefix",
}
"""Keys that a spec may leave out, and that a class of the previous platform writes as null where nothing was said."""


def changed(spec: dict[str, Any], key: str, null: bool) -> dict[str, Any]:  # noqa: FBT001 - a test's own
    """The spec with that key as null, or without it."""
    spec = deepcopy(spec)
    above, _, last = key.rpartition(".")
    place = at(spec, above) if above else spec
    place[last] = None
    if not null:
        place.pop(last)
    return spec


def config_with(job: str, spec: dict[str, Any]) -> Config:
    return config_of({PARAMETERS: spec} if job == PARAMETERS else {"jobs": {job: spec}})


NULLS = [(job, key) for job, keys in OPTIONAL.items() for key in keys.split()]


@pytest.mark.parametrize(("job", "key"), NULLS, ids=[f"{job}.{key}" for job, key in NULLS])
def test_a_null_says_what_its_absence_says(job: str, key: str) -> None:
    spec = specs("versioned")[job]
    null, absent = (config_with(job, changed(spec, key, null)) for null in (True, False))
    assert null == absent
    assert remarks(null) == remarks(absent)
    if job in JOBS:
        assert null.spec(JOBS[job]) == absent.spec(JOBS[job])


def test_nulls_of_whole_jobs_and_lists_say_nothing() -> None:
    config = config_of(
        {
            "project_parameters": {"non_persistent_prefixes": None, "segments": None, "calendar": {"holidays": None}},
            "pipeline_defaults": None,
            "sources": None,
            "jobs": {"fg_a_builder": None, "non_persistent_prefixes": {"prefixes": ["VDI-"]}, "fg_b_builder": {}},
        }
    )
    assert config == config_of({"jobs": {"non_persistent_prefixes": {"prefixes": ["VDI-"]}, "fg_b_builder": {}}})
    with pytest.raises(SpecError, match=r"fg_b_builder\.baseline_metrics\.0"):
        config_of({"jobs": {"fg_b_builder": {"baseline_metrics": [None]}}})
