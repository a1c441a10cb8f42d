"""Pipelines follow from the declarations of jobs, and are what SageMaker and our own command line understand."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from aws.pipeline_shapes import FILLED, SAGEMAKER, faults, filled
from house.rooms import ROOT
from ndr.aws import pipelines
from ndr.aws.pipelines import ENTRYPOINTS, pipeline_definition, pipeline_name
from ndr.cli import jobs, main, parser
from ndr.errors import SpecError, UnknownNameError
from ndr.jobs import JOBS, PIPELINES
from ndr.specs import Config, config_of, load_config
from ndr.time import Interval

FOLDER = ROOT / "docs" / "aws" / "pipelines"
CONFIG = load_config(FOLDER / "config.yaml")
SPARK = CONFIG.model_copy(update={"pipeline_defaults": CONFIG.pipeline_defaults.model_copy(update={"engine": "spark"})})
MACHINES = ["ProcessingImageUri", "ProcessingInstanceType", "ProcessingInstanceCount"]
BATCH = ["ProjectName", "FeatureSpecVersion", "MiniBatchId", "BatchStartTsIso", "BatchEndTsIso", *MACHINES]
PROMISED = {
    "15m_streaming": BATCH,
    "inference_predictions": BATCH,
    "prediction_feature_join": BATCH,
    "fg_b_baseline": ["ProjectName", "FeatureSpecVersion", "ReferenceTimeIso", "Mode", *MACHINES],
    "machine_inventory_unload": ["ProjectName", "FeatureSpecVersion", "ReferenceMonthIso", *MACHINES],
}
GIVEN = {
    "BatchEndTsIso": "2026-03-02T10:15:00Z",
    "ReferenceTimeIso": "2026-03-01T00:00:00Z",
    "ReferenceMonthIso": "2026-03",
}


def definition(name: str, config: Config = CONFIG) -> dict[str, Any]:
    return pipeline_definition(name, config).definition()


def started(name: str, config: Config = CONFIG) -> list[tuple[str, list[str]]]:
    """Step -> the command line of its container, as an execution gives it that says when, and nothing else."""
    made = definition(name, config)
    values = {each["Name"]: each.get("DefaultValue", GIVEN.get(each["Name"])) for each in made["Parameters"]}
    commands = []
    for step in made["Steps"]:
        app = filled(step["Arguments"]["AppSpecification"], values)
        commands.append((step["Name"], [*app["ContainerEntrypoint"], *app["ContainerArguments"]]))
    return commands


def changed(**defaults: Any) -> Config:
    return config_of({"pipeline_defaults": CONFIG.pipeline_defaults.model_dump(exclude_none=True) | defaults})


@pytest.mark.parametrize("name", PIPELINES)
def test_the_kept_definition_is_the_rendered_one(name: str) -> None:
    """``make docs`` writes it."""
    assert json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")) == definition(name)


def test_there_is_a_file_for_every_pipeline_and_none_beside() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(PIPELINES)


@pytest.mark.parametrize("name", PIPELINES)
def test_every_pipeline_has_the_promised_function(name: str) -> None:
    made = getattr(pipelines, f"build_{name}_pipeline")(CONFIG)
    assert made.name == f"office-{name.replace('_', '-')}"
    assert made.definition() == json.loads(made.definition_json()) == definition(name)


@pytest.mark.parametrize("name", PIPELINES)
def test_the_parameters_are_the_promised_ones(name: str) -> None:
    assert [each["Name"] for each in definition(name)["Parameters"]] == PROMISED[name]


@pytest.mark.parametrize("name", PIPELINES)
def test_only_when_must_be_said(name: str) -> None:
    """All other parameters have values that the configuration gives, or that a job finds out."""
    asked = {each["Name"] for each in definition(name)["Parameters"] if "DefaultValue" not in each}
    assert asked == set(PROMISED[name]) & set(GIVEN)


def test_without_an_image_in_the_configuration_an_execution_must_name_one() -> None:
    told = {
        each["Name"]: each for each in definition("15m_streaming", changed(processing_image_uri=None))["Parameters"]
    }
    assert "DefaultValue" not in told["ProcessingImageUri"]


@pytest.mark.parametrize("name", PIPELINES)
def test_steps_run_one_after_the_other(name: str) -> None:
    steps = definition(name)["Steps"]
    assert [step["Name"] for step in steps] == list(PIPELINES[name].jobs)
    assert [step.get("DependsOn") for step in steps] == [None, *([step["Name"]] for step in steps[:-1])]


def test_a_job_that_nobody_configured_is_no_step() -> None:
    bare = changed()
    assert [step["Name"] for step in definition("fg_b_baseline", bare)["Steps"]] == ["fg_b_builder"]
    assert [step["Name"] for step in definition("prediction_feature_join", bare)["Steps"]] == [
        "prediction_feature_join"
    ]


@pytest.mark.parametrize("config", [CONFIG, SPARK], ids=["duckdb", "spark"])
@pytest.mark.parametrize("name", PIPELINES)
def test_sagemaker_can_make_a_processing_job_of_every_step(name: str, config: Config) -> None:
    made = definition(name, config)
    values = {each["Name"]: each.get("DefaultValue", "2026-03-02T10:15:00Z") for each in made["Parameters"]} | FILLED
    for step in made["Steps"]:
        request = {"ProcessingJobName": "as-sagemaker-names-it", **filled(step["Arguments"], values)}
        assert not list(faults(request, SAGEMAKER.shape_for("CreateProcessingJobRequest"), step["Name"]))
        assert not list(faults(step["Name"], SAGEMAKER.shape_for("StepName")))


@pytest.mark.parametrize("name", PIPELINES)
def test_sagemaker_can_make_the_pipeline(name: str) -> None:
    made = pipeline_definition(name, CONFIG)
    request = {
        "PipelineName": made.name,
        "PipelineDefinition": made.definition_json(),
        "PipelineDescription": made.pipeline.doc,
        "RoleArn": made.role_arn,
        "ClientRequestToken": "0" * 36,
    }
    assert not list(faults(request, SAGEMAKER.shape_for("CreatePipelineRequest")))


def test_the_service_model_sees_what_is_wrong() -> None:
    """Else the two tests above could not fail."""
    shape = SAGEMAKER.shape_for("ProcessingClusterConfig")
    wrong = {"InstanceCount": 0, "InstanceType": "ml.none", "VolumeSizeInGb": 30}
    told = " ".join(faults(wrong, shape))
    assert all(part in told for part in (".VolumeSizeInGb: unknown", ".VolumeSizeInGB: missing", "0 is not", "ml.none"))


@pytest.mark.parametrize("name", PIPELINES)
def test_our_command_line_understands_every_step(name: str) -> None:
    for step, (program, *words) in started(name):
        assert program == "ndr"
        options = parser("job").parse_args(words)
        assert (options.command, options.job, options.engine) == ("job", step, "duckdb")
        assert (options.project_name, options.feature_spec_version) == ("office", "1")
        told = {argument: getattr(options, argument) for argument in JOBS[step].arguments}
        assert all(told.values()), f"{step} is not told {told}"


@pytest.mark.parametrize("name", [name for name, asked in PROMISED.items() if asked == BATCH])
def test_a_job_finds_out_what_an_execution_leaves_out(name: str) -> None:
    for _, (_, *words) in started(name):
        batch = jobs._batch(parser("job").parse_args(words))
        assert str(batch.interval) == str(Interval(datetime(2026, 3, 2, 10), datetime(2026, 3, 2, 10, 15)))


@pytest.mark.parametrize("name", PIPELINES)
def test_spark_is_given_a_file_and_the_same_words(name: str) -> None:
    for (_, command), (_, plain) in zip(started(name, SPARK), started(name), strict=True):
        start = len(ENTRYPOINTS["spark"])
        assert tuple(command[:start]) == ENTRYPOINTS["spark"]
        assert command[start:] == [*plain[2:-1], "spark"]


@pytest.mark.parametrize("name", PIPELINES)
def test_no_bucket_table_or_metric_is_written_into_a_pipeline(name: str) -> None:
    specs = {
        "delta_builder": {"output": {"s3_prefix": "s3://bucket-one/delta"}},
        "fg_b_builder": {"baseline_metrics": ["sessions_cnt", "bytes_src_sum"]},
        "inference_predictions": {"model": {"endpoint_name": "some-endpoint"}},
    }
    values = CONFIG.model_dump(mode="json", exclude_none=True)
    told = config_of(values | {"jobs": values["jobs"] | specs})
    assert definition(name, told) == definition(name)


def environment(config: Config, region: str | None = None) -> dict[str, str]:
    """What the containers of a pipeline read; all steps have the same."""
    steps = pipeline_definition("15m_streaming", config, region).definition()["Steps"]
    told = [step["Arguments"]["Environment"] for step in steps]
    assert all(each == told[0] for each in told)
    return dict(told[0])


def test_containers_learn_the_names_of_their_tables_from_the_environment() -> None:
    specs, ledger = "ML_PROJECTS_PARAMETERS_TABLE_NAME", "NDR_LEDGER_TABLE_NAME"
    assert environment(CONFIG).items() >= {specs: "ndr-job-specs", ledger: "ndr-ledger"}.items()
    assert ledger not in environment(changed(ledger_table_name=None))


def test_containers_are_told_their_region_as_boto3_asks_for_it() -> None:
    assert environment(CONFIG)["AWS_DEFAULT_REGION"] == "eu-central-1"
    assert environment(CONFIG, "us-gov-west-1")["AWS_DEFAULT_REGION"] == "us-gov-west-1"
    assert "AWS_DEFAULT_REGION" not in environment(changed(processing_image_uri="registry.example.com/ndr:1"))


@pytest.mark.parametrize(("key", "value"), [("role_arn", None), ("table_name", None)])
def test_what_a_pipeline_cannot_do_without_is_named(key: str, value: object) -> None:
    with pytest.raises(SpecError, match=f"^pipeline_defaults.{key}: "):
        definition("15m_streaming", changed(**{key: value}))


@pytest.mark.parametrize("engine", ["duckdb", "spark"])
def test_a_step_may_have_many_machines_of_which_duckdb_lets_the_first_work(engine: str) -> None:
    made = definition("15m_streaming", changed(engine=engine, processing_instance_count=9))
    told = {each["Name"]: each for each in made["Parameters"]}
    assert told["ProcessingInstanceCount"]["DefaultValue"] == 9


GLUE = {"PYICEBERG_CATALOG__GLUE__TYPE": "glue", "PYICEBERG_CATALOG__GLUE__WAREHOUSE": "s3://acme-ice/tables"}


def test_containers_learn_from_the_environment_how_pyiceberg_finds_its_catalogs() -> None:
    assert environment(changed(environment=GLUE)) == environment(CONFIG) | GLUE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_ENDPOINT_URL", "hidden"),
        ("pyiceberg_x", "hidden"),
        ("PYICEBERG_CATALOG__X__S3__SECRET_ACCESS", "hidden"),
        ("PYICEBERG_CATALOG__X__S3__ACCESS_KEY_ID", "hidden"),
        ("PYICEBERG_CATALOG__X__TOKEN", "hidden"),
        ("PYICEBERG_CATALOG__X__CREDENTIAL", "hidden"),
        ("PYICEBERG_CATALOG__X__PASSWORD", "hidden"),
        ("PYICEBERG_CATALOG__X__HEADER__AUTHORIZATION", "hidden"),
        ("PYICEBERG_CATALOG__X__PY_IO_IMPL", "hidden"),
        ("PYICEBERG_CATALOG__X__URI", "postgresql://ndr:hidden@db/ice"),
        ("PYICEBERG_CATALOG__X__URI", "hidden${AWS::AccountId}"),
        ("PYICEBERG_CATALOG__X__URI", "hidden\nline"),
        ("PYICEBERG_CATALOG__X__URI", "hidden" * 50),
    ],
)
def test_no_secret_and_no_other_variable_comes_into_the_environment(name: str, value: str) -> None:
    with pytest.raises(SpecError, match=f"^pipeline_defaults.environment.{name}") as told:
        changed(environment={name: value})
    assert "hidden" not in str(told.value)


@pytest.mark.parametrize(
    ("project", "name"), [("a_b.c", "a-b-c-x-y"), ("..x..", "x-x-y"), ("9", "9-x-y"), ("A--b", "A-b-x-y")]
)
def test_a_name_has_letters_digits_and_single_hyphens(project: str, name: str) -> None:
    assert pipeline_name(project, "x_y") == name
    assert not list(faults(pipeline_name(project * 16, "x_y"), SAGEMAKER.shape_for("PipelineName")))


def test_a_project_without_letters_has_no_pipelines() -> None:
    with pytest.raises(SpecError, match="neither letters nor digits"):
        pipeline_name("_._", "15m_streaming")


def test_an_unknown_pipeline_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'fg_b_baseline'"):
        pipeline_definition("fg_b_baselines", CONFIG)


def test_the_command_prints_one_and_writes_many(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(FOLDER / "config.yaml")
    assert main(["pipelines", "render", "fg_b_baseline", "--config", config]) == 0
    assert json.loads(capsys.readouterr().out) == definition("fg_b_baseline")
    assert main(["pipelines", "render", "all", "--config", config]) == 2
    assert "--output DIR" in capsys.readouterr().err
    assert main(["pipelines", "render", "all", "--config", config, "--output", str(tmp_path / "new")]) == 0
    for path in FOLDER.glob("*.json"):
        assert (tmp_path / "new" / path.name).read_text(encoding="utf-8") == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "words",
    [["none"], ["all", "fg_b_baseline", "--config", "FILE"], ["fg_b_baseline"], ["fg_b_baseline", "--table", "specs"]],
    ids=" ".join,
)
def test_what_the_command_cannot_mean_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(FOLDER / "config.yaml") if word == "FILE" else word for word in words]
    assert main(["pipelines", "render", *words]) in {2, 3}
    assert not capsys.readouterr().out


def test_a_file_and_a_table_are_not_both_read(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--config", str(FOLDER / "config.yaml"), "--project-name", "office"]
    assert main(["pipelines", "render", "fg_b_baseline", *words]) == 2
    assert "not both" in capsys.readouterr().err
