"""A spec written for the previous platform loads unchanged, and lint says what it means here."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from standins.credentials import environment
from standins.dynamodb import make_spec_table
from standins.moto import SERVICES, forget, moto
from standins.specs import TABLE

from migration.keeping import at, items, keep, specs
from ndr.aws.spec_store import DynamoStore
from ndr.errors import SpecError
from ndr.lint import remarks, stored_remarks
from ndr.places import mounts
from ndr.spec_store import PARAMETERS, config_from, stored_jobs
from ndr.specs import JOBS, Config, config_of

PROJECTS = {"versioned": "ndr-prod", "unversioned": "ndr-old"}
PROMISED: dict[str, str] = {
    "delta_builder": """
        project_name job_name feature_spec_version input.s3_prefix input.format input.compression
        input.schema_projection input.field_mapping dq.drop_malformed_ip dq.duration_non_negative dq.bytes_non_negative
        dq.filter_null_bytes_ports dq.emit_metrics enrichment.vdi_hostname_prefixes enrichment.port_sets_location
        roles.0.name roles.0.host_ip roles.0.peer_ip roles.0.bytes_sent roles.0.bytes_recv roles.0.peer_port
        operators.0.type operators.1.params output.s3_prefix output.format output.partition_keys output.write_mode""",
    "pair_counts_builder": """
        traffic_input.s3_prefix traffic_input.layout traffic_input.field_mapping pair_counts_output.s3_prefix
        filters.require_nonnull_ips filters.require_destination_port segment_mapping""",
    "fg_a_builder": """
        delta_input.s3_prefix fg_a_output.s3_prefix pair_counts_input high_risk_segments segment_mapping
        lookback30d.rare_thresholds.peer lookback30d.rare_thresholds.port lookback30d.rare_thresholds.pair""",
    "fg_b_builder": """
        horizons fg_a_input.s3_prefix fg_b_output.s3_prefix pair_counts.enabled pair_counts.s3_prefix
        pair_counts.rarity_threshold segment_mapping.strategy segment_mapping.prefix_length anomaly_capping.key_metrics
        anomaly_capping.z_max anomaly_capping.w_anom baseline_metrics baseline_required_metrics support_min.sessions_cnt
        join_keys safety_gaps.7d.tail_days safety_gaps.7d.head_days ip_machine_mapping.s3_prefix_key
        ip_machine_mapping.ip_column ip_machine_mapping.machine_name_column non_persistent_machine_prefixes""",
    "fg_c_builder": """
        fg_a_input.s3_prefix fg_b_input.s3_prefix fg_c_output.s3_prefix horizons join_keys metrics transforms
        pair_counts segment_mapping eps z_max""",
    "machine_inventory_unload": """
        redshift.cluster_identifier redshift.database redshift.secret_arn redshift.region redshift.iam_role
        redshift.db_user query.schema query.table query.ip_column query.name_column query.active_filter
        query.additional_filters output.s3_prefix output.output_format output.partitioning output.ip_output_column
        output.name_output_column processing_image_uri""",
    "non_persistent_prefixes": "prefixes",
    "inference_predictions": """
        feature_inputs.fg_a.s3_prefix feature_inputs.fg_a.dataset feature_inputs.fg_a.required join_keys
        model.endpoint_name model.timeout_seconds model.max_payload_mb model.max_records_per_payload model.max_retries
        model.backoff_seconds model.content_type model.accept model.model_version model.model_name model.max_workers
        model.region output.s3_prefix output.format output.partition_keys output.write_mode output.dataset
        payload.feature_columns payload.scaler_params payload.outlier_params prediction_schema.score_column
        prediction_schema.label_column join_output""",
    "prediction_feature_join": """
        destination.type destination.s3 destination.redshift.cluster_identifier destination.redshift.database
        destination.redshift.secret_arn destination.redshift.region destination.redshift.iam_role
        destination.redshift.schema destination.redshift.table destination.redshift.db_user destination.redshift.pre_sql
        destination.redshift.post_sql destination.redshift.copy_options destination.iceberg.catalog
        destination.iceberg.table""",
    "project_parameters": "ip_machine_mapping_s3_prefix",
}
"""The keys that are promised to be accepted, job by job; three more, that exclude others, stand in the other file."""


@pytest.fixture(scope="module")
def stores() -> Iterator[DynamoStore]:
    with pytest.MonkeyPatch.context() as patched, moto() as url:
        for name, value in environment(**dict.fromkeys(SERVICES, url)).items():
            patched.setenv(name, value)
        forget(url)  # one process has one account, however many servers
        client = make_spec_table()
        for name in PROJECTS:
            keep(client, items(name))
        yield DynamoStore(TABLE)


@pytest.mark.parametrize("job", PROMISED)
def test_the_kept_specs_have_every_promised_key(job: str) -> None:
    for key in PROMISED[job].split():
        at(specs("versioned")[job], key)


def test_the_other_spellings_stand_in_the_other_file() -> None:
    other = specs("unversioned")
    assert {"delta_s3_prefix", "output_s3_prefix"} <= other["fg_a_builder"].keys()
    assert "sql" in other["machine_inventory_unload"]["query"]
    assert any("parameters" in item for item in items("unversioned"))


@pytest.mark.parametrize("name", PROJECTS)
def test_what_is_kept_loads_as_it_is(stores: DynamoStore, name: str) -> None:
    config = config_from(stores, PROJECTS[name], "1")
    kept = specs(name)
    assert config.jobs == {job: kept[job] for job in config.jobs}
    assert {*kept} - {*config.jobs} - {PARAMETERS} <= {"churn_model", "fg_b_bulder"}


def test_what_has_a_meaning_is_obeyed(stores: DynamoStore) -> None:
    config = config_from(stores, "ndr-prod", "1")
    baselines: Any = config.spec(JOBS["fg_b_builder"])
    assert (baselines.horizons, baselines.anomaly_capping.z_max) == (("7d", "30d"), 6)
    assert baselines.support()["deny_cnt"] == 20
    assert baselines.reach("30d") == 37
    assert "allow_cnt" not in baselines.baseline_metrics
    behaviour: Any = config.spec(JOBS["fg_a_builder"])
    assert behaviour.lookback30d.rare_thresholds.model_dump() == {"peer": 3, "port": 2, "pair": 1}
    inference: Any = config.spec(JOBS["inference_predictions"])
    assert (inference.model.endpoint_name, inference.model.backoff_seconds) == ("ndr-detector", 0.5)
    assert config.project_parameters.non_persistent_prefixes == ("VDI-",)
    assert config.pipeline_defaults.processing_instance_type == "ml.m5.4xlarge"
    assert config.pipeline_defaults.processing_instance_count == 2


def test_tables_lie_where_the_previous_platform_wrote_them(stores: DynamoStore) -> None:
    found = mounts(config_from(stores, "ndr-prod", "1"))
    assert found["fg_a"] == "s3://ndr-features/fg_a"
    assert len(found) == 8


def test_both_ways_to_name_a_place_are_understood() -> None:
    for output in ({"fg_a_output": {"s3_prefix": "s3://bucket/a/"}}, {"output_s3_prefix": "s3://bucket/a"}):
        assert mounts(config_of({"jobs": {"fg_a_builder": output}})) == {"fg_a": "s3://bucket/a"}


TYPOS = [
    (job, key)
    for job, keys in PROMISED.items()
    for key in keys.split()
    if key not in {"project_name", "job_name", "feature_spec_version"}
    and not key.startswith(("support_min.", "segment_mapping."))
]


@pytest.mark.parametrize(("job", "key"), TYPOS, ids=[f"{job}.{key}" for job, key in TYPOS])
def test_a_mistyped_key_is_an_error_with_the_nearest_name(job: str, key: str) -> None:
    spec = deepcopy(specs("versioned")[job])
    above, _, last = key.rpartition(".")
    place = at(spec, above) if above else spec
    place[last + "x"] = place.pop(last)
    values = {PARAMETERS: spec} if job == PARAMETERS else {"jobs": {job: spec}}
    with pytest.raises(SpecError, match=rf"\.{last}x: unknown key\. Did you mean '{last}'"):
        config_of(values)


def test_lint_tells_of_pipelines_that_cannot_work_as_they_are_told() -> None:
    def kinds(**said: Any) -> dict[str, str]:
        return {each.key: each.kind for each in remarks(config_of({"pipeline_defaults": said}))}

    assert kinds(engine="spark", processing_instance_count=2) == {}
    assert kinds(processing_instance_count=2) == {"pipeline_defaults.processing_instance_count": "differs"}
    assert kinds(engine="duckdb", processing_instance_count=1) == {}


def said(store: DynamoStore, project: str) -> dict[str, str]:
    found = remarks(config_from(store, project, "1"))
    stored = stored_jobs(store, project, "1")
    return {r.key: r.kind for r in [*stored_remarks(stored, project, "1", store.listing(project)), *found]}


def test_lint_tells_what_means_something_else(stores: DynamoStore) -> None:
    assert said(stores, "ndr-prod") == {
        "pipeline_defaults.processing_instance_count": "differs",
        "pipeline_defaults.spark_executor_memory": "ignored",
        "project_parameters.lake_s3_prefix": "refused",
        "jobs.delta_builder.dq.bytes_non_negative": "ignored",
        "jobs.delta_builder.dq.duration_non_negative": "ignored",
        "jobs.delta_builder.dq.filter_null_bytes_ports": "differs",
        "jobs.delta_builder.enrichment.port_sets_location": "differs",
        "jobs.delta_builder.enrichment.vdi_hostname_prefixes": "differs",
        "jobs.delta_builder.input.compression": "ignored",
        "jobs.delta_builder.input.field_mapping": "differs",
        "jobs.delta_builder.input.format": "ignored",
        "jobs.delta_builder.input.schema_projection": "ignored",
        "jobs.delta_builder.operators": "ignored",
        "jobs.delta_builder.roles.1.bytes_sent": "differs",
        "jobs.fg_a_builder.high_risk_segments": "differs",
        "jobs.fg_b_builder.anomaly_capping.key_metrics": "differs",
        "jobs.fg_b_builder.anomaly_capping.w_anom": "differs",
        "jobs.fg_b_builder.anomaly_capping.z_max": "differs",
        "jobs.fg_b_builder.baseline_metrics": "differs",
        "jobs.fg_b_builder.ip_machine_mapping": "ignored",
        "jobs.fg_b_builder.safety_gaps.30d.head_days": "differs",
        "jobs.fg_c_builder.eps": "differs",
        "jobs.inference_predictions.feature_inputs.fg_c.required": "differs",
        "jobs.inference_predictions.feature_inputs.pair_counts": "differs",
        "jobs.inference_predictions.join_output": "ignored",
        "jobs.inference_predictions.output.dataset": "ignored",
        "jobs.inference_predictions.output.partition_keys": "differs",
        "jobs.inference_predictions.output.write_mode": "differs",
        "jobs.machine_inventory_unload.processing_image_uri": "ignored",
        "jobs.pair_counts_builder.filters.require_destination_port": "differs",
        "jobs.pair_counts_builder.traffic_input.layout": "ignored",
        "jobs.prediction_feature_join.destination.s3.partition_keys": "ignored",
        "jobs.prediction_feature_join.destination.s3.write_mode": "ignored",
    }


def test_lint_tells_of_places_horizons_and_thresholds_that_cannot_work(stores: DynamoStore) -> None:
    found = {key: kind for key, kind in said(stores, "ndr-old").items() if key.count(".") > 1}
    assert found == {
        "jobs.delta_builder.dq.drop_malformed_ip": "differs",
        "jobs.delta_builder.feature_spec_version": "differs",
        "jobs.delta_builder.input.format": "ignored",
        "jobs.delta_builder.operators": "ignored",
        "jobs.delta_builder.output.format": "differs",
        "jobs.delta_builder.output.partition_keys": "differs",
        "jobs.delta_builder.roles": "differs",
        "jobs.fg_a_builder.delta_s3_prefix": "differs",
        "jobs.fg_b_builder.join_keys": "differs",
        "jobs.fg_b_builder.pair_counts.enabled": "differs",
        "jobs.fg_b_builder.pair_counts.rarity_threshold": "differs",
        "jobs.fg_b_builder.safety_gaps.30d": "ignored",
        "jobs.fg_b_builder.segment_mapping": "differs",
        "jobs.fg_b_builder.support_min.sessions_cnt": "differs",
        "jobs.fg_c_builder.horizons": "differs",
        "jobs.inference_predictions.feature_inputs.fg_c.s3_prefix": "differs",
        "jobs.pair_counts_builder.traffic_input.s3_prefix": "differs",
    }


def test_lint_tells_of_specs_without_a_version_and_of_folders_in_folders(stores: DynamoStore) -> None:
    found = said(stores, "ndr-old")
    assert found["jobs.fg_c_builder"] == found[PARAMETERS] == "differs"
    assert found["jobs"] == "refused"
    assert found["project_parameters.ip_machine_mapping_s3_prefix"] == "differs"


def test_lint_is_silent_about_a_configuration_of_ours() -> None:
    config = config_of({"jobs": {"fg_b_builder": {"schedule": "weekly"}, "fg_a_builder": {}}})
    assert remarks(config) == remarks(Config()) == []
