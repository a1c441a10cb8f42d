"""What jobs may do is exact: what they need and nothing beside it."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest
from standins.credentials import ACCOUNT, REGION
from standins.permissions import USER_ID, Call, allowed, covers, idle, refused

from aws.deployed import CONFIGS, HERE, REDSHIFT_ROLE, SECRET, SMALL, WIDE, resources, told
from ndr.aws.deployment.services import copied
from ndr.aws.policy import Account, policy, raw_logs
from ndr.errors import SpecError
from ndr.jobs import JOBS, PIPELINES
from ndr.specs import Config, config_of

NUMBER = "01234567-0123-0123-0123-0123456789ab"
KNOWN = Account(ACCOUNT, REGION, "aws", {"dwh-main": NUMBER})
STREAMING = PIPELINES["15m_streaming"].jobs
EVERYWHERE = {
    "ecr:GetAuthorizationToken": "aws:RequestedRegion",
    "cloudwatch:PutMetricData": "cloudwatch:namespace",
    "redshift-data:DescribeStatement": "redshift-data:statement-owner-iam-userid",
    "redshift-data:GetStatementResult": "redshift-data:statement-owner-iam-userid",
    "redshift-data:CancelStatement": "redshift-data:statement-owner-iam-userid",
}
"""Actions for which AWS knows no resources, and the condition that narrows each."""


def may(call: Call, config: Config = WIDE, jobs: tuple[str, ...] = tuple(JOBS)) -> bool:
    return allowed(call, policy(config, jobs, KNOWN))


def s3(action: str, place: str) -> Call:
    return Call(f"s3:{action}", f"arn:aws:s3:::{place}")


def listing(bucket: str, prefix: str) -> Call:
    return Call("s3:ListBucket", f"arn:aws:s3:::{bucket}", {"s3:prefix": prefix})


def every_statement(config: Config) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for name, each in resources(config, "AWS::IAM::").items():
        documents = [each["PolicyDocument"]] if "PolicyDocument" in each else []
        documents += [inner["PolicyDocument"] for inner in each.get("Policies", [])]
        found += [(name, statement) for document in documents for statement in document["Statement"]]
    return found


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_only_what_aws_knows_no_resources_for_is_allowed_everywhere_and_under_a_condition(config: Config) -> None:
    for name, statement in every_statement(config):
        assert not any("*" in action for action in statement["Action"]), name
        if "*" in statement["Resource"]:
            keys = {key for told in statement["Condition"].values() for key in told}
            assert {EVERYWHERE[action] for action in statement["Action"]} == keys


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_every_action_exists_and_takes_resources_of_that_kind(config: Config) -> None:
    """AWS's own list, as cfn-lint brings it."""
    known = json.loads(files("cfnlint").joinpath("data/AdditionalSpecs/Policies.json").read_text())
    kinds = 0
    for _, statement in every_statement(config):
        for action in statement["Action"]:
            service, _, name = action.partition(":")
            accepted = known[service]["Actions"][name.lower()].get("Resources", [])
            if not accepted or action in EVERYWHERE:
                assert statement["Resource"] == ["*"], action
                continue
            kinds += 1
            formats = {kind.lower(): each["ARNFormats"] for kind, each in known[service]["Resources"].items()}
            heads = [arn for kind in accepted for arn in formats[kind.lower()]]
            assert "*" not in statement["Resource"], f"{action} takes {accepted}"
            services = {arn.split(":")[2] for arn in heads}
            for resource in statement["Resource"]:
                text = resource["Fn::Sub"] if isinstance(resource, dict) else resource
                if text.startswith("arn:"):
                    assert text.replace("${AWS::Partition}", "aws").split(":")[2] in services, (action, text)
    assert kinds > 20


def test_sids_are_unique() -> None:
    for jobs in (tuple(JOBS), STREAMING, ("machine_inventory_unload",)):
        sids = [statement["Sid"] for statement in policy(WIDE, jobs)]
        assert len(set(sids)) == len(sids)
        assert all(sid.isalnum() for sid in sids)


def test_the_lake_may_be_written_and_raw_logs_only_read() -> None:
    assert may(s3("PutObject", "acme-ndr/lake/sessions/x.parquet"))
    assert may(s3("PutObject", "acme-ndr/elsewhere/delta/dt=2026-03-02/x.parquet"))
    assert may(s3("GetObject", "acme-logs/palo/a.csv.gz"))
    assert may(listing("acme-logs", "palo/"))
    assert not may(s3("GetObject", "acme-logs/palo/a.csv.gz"), jobs=("fg_b_builder",))
    assert not may(s3("PutObject", "acme-logs/palo/a.csv.gz"))
    assert not may(s3("DeleteObject", "acme-logs/palo/a.csv.gz"))


@pytest.mark.parametrize(
    "place",
    ["acme-ndr/other/x", "acme-ndr/lake2/x", "acme-ndr/lake", "acme-logs/palo2/x", "acme/lake/x", "acme-ndr-b/lake/x"],
)
def test_what_lies_beside_a_prefix_is_nobodys_business(place: str) -> None:
    assert not may(s3("GetObject", place))
    assert not may(listing(place.partition("/")[0], place.partition("/")[2]))


def test_that_an_object_is_missing_is_told_of_the_lake_alone() -> None:
    """S3 asks for the right to list without a prefix then."""
    assert may(Call("s3:ListBucket", "arn:aws:s3:::acme-ndr"))
    assert not may(Call("s3:ListBucket", "arn:aws:s3:::acme-logs"))


def test_a_lake_that_is_a_whole_bucket_is_one() -> None:
    config = config_of({"project_parameters": {"lake_s3_prefix": "s3://all-ndr"}})
    assert may(s3("PutObject", "all-ndr/delta/x"), config)
    assert not may(s3("PutObject", "all-ndr-too/delta/x"), config)


def test_specs_are_read_and_the_ledger_is_written() -> None:
    specs, ledger = HERE.arn("dynamodb", "table/acme-specs"), HERE.arn("dynamodb", "table/acme-ledger")
    assert may(Call("dynamodb:Query", specs))
    assert not may(Call("dynamodb:PutItem", specs))
    assert may(Call("dynamodb:UpdateItem", ledger))
    assert not may(Call("dynamodb:Scan", ledger))
    assert not may(Call("dynamodb:DeleteTable", ledger))
    assert not may(Call("dynamodb:PutItem", HERE.arn("dynamodb", "table/acme-ledger2")))


def test_only_jobs_that_make_scores_ask_the_endpoint_whose_arn_is_in_lower_case() -> None:
    call = Call("sagemaker:InvokeEndpoint", HERE.arn("sagemaker", "endpoint/ndr-forest"))
    assert may(call, jobs=("inference_predictions",))
    assert may(call, jobs=("prediction_feature_join",))
    assert not may(call, jobs=STREAMING)
    assert not may(Call("sagemaker:InvokeEndpoint", HERE.arn("sagemaker", "endpoint/ndr-forest-2")))


def test_only_the_inventory_asks_its_cluster() -> None:
    call = Call("redshift-data:ExecuteStatement", HERE.arn("redshift", "cluster:dwh"))
    assert may(call, jobs=("machine_inventory_unload",))
    assert may(Call("secretsmanager:GetSecretValue", SECRET), jobs=("machine_inventory_unload",))
    assert not may(call, jobs=STREAMING)
    assert not may(call, jobs=("prediction_feature_join",))
    assert not may(Call("redshift-data:ExecuteStatement", HERE.arn("redshift", "cluster:dwh2")))
    assert not may(Call("secretsmanager:GetSecretValue", SECRET[:-1] + "x"))


def test_answers_are_told_only_to_who_asked() -> None:
    mine = Call("redshift-data:GetStatementResult", "*", {"redshift-data:statement-owner-iam-userid": USER_ID})
    theirs = mine._replace(context={"redshift-data:statement-owner-iam-userid": "AROAOTHER:x"})
    jobs = ("machine_inventory_unload",)
    assert (may(mine, jobs=jobs), may(theirs, jobs=jobs)) == (True, False)


def test_without_a_secret_credentials_are_those_of_one_user_or_workgroup() -> None:
    workgroup = HERE.arn("redshift-serverless", f"workgroup/{NUMBER}")
    join = ("prediction_feature_join",)
    assert may(Call("redshift-serverless:GetCredentials", workgroup), jobs=join)
    assert may(Call("redshift-data:ExecuteStatement", workgroup), jobs=join)
    access = {"cluster_identifier": "c", "database": "d", "iam_role": REDSHIFT_ROLE}
    for more, call in (
        ({"db_user": "ndr"}, Call("redshift:GetClusterCredentials", HERE.arn("redshift", "dbuser:c/ndr"))),
        ({}, Call("redshift:GetClusterCredentialsWithIAM", HERE.arn("redshift", "dbname:c/d"))),
    ):
        table = {**access, **more, "schema": "s", "table": "t"}
        destination = {"destination": {"type": "redshift", "redshift": table}}
        jobs = {"prediction_feature_join": destination}
        config = config_of({"project_parameters": {"lake_s3_prefix": "s3://all-ndr"}, "jobs": jobs})
        assert may(call, config)
        assert not may(call._replace(resource=call.resource + "2"), config)


def test_only_the_configured_feature_groups_are_written() -> None:
    put = Call("sagemaker:PutRecord", HERE.arn("sagemaker", "feature-group/acme-fga"))
    assert may(put, jobs=("feature_store_ingest",))
    assert not may(put, jobs=STREAMING)
    assert not may(put._replace(resource=HERE.arn("sagemaker", "feature-group/ndr-acme_west-fg_c")))
    assert may(s3("PutObject", "acme-features/offline/x"), jobs=("feature_store_ingest",))
    assert not may(s3("PutObject", "acme-features/offline/x"), jobs=STREAMING)


def test_a_model_elsewhere_is_only_read() -> None:
    model = {"inference_predictions": {"model": {"model_uri": "s3://models/forest"}}}
    config = config_of({"project_parameters": {"lake_s3_prefix": "s3://all-ndr"}, "jobs": model})
    assert may(s3("GetObject", "models/forest/model.json"), config)
    assert not may(s3("PutObject", "models/forest/model.json"), config)


def test_a_model_that_nobody_checked_widens_nothing() -> None:
    """A configuration that was copied with other values is not checked again."""
    for wrong in ("s3://*", "s3://models/*", "s3://${AWS::AccountId}", "s3://models/../x"):
        unchecked = Config.model_construct(
            project_parameters=SMALL.project_parameters, pipeline_defaults=SMALL.pipeline_defaults,
            jobs={"inference_predictions": {"model": {"model_uri": wrong}}},
        )  # fmt: skip
        with pytest.raises(SpecError, match=r"model\.model_uri"):
            policy(unchecked, tuple(JOBS), KNOWN)


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("210987654321.dkr.ecr.eu-west-1.amazonaws.com/t/ndr:1", "arn:aws:ecr:eu-west-1:210987654321:repository/t/ndr"),
        (None, f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/office-ndr"),
    ],
)
def test_only_the_image_of_the_jobs_may_be_fetched(image: str | None, repository: str) -> None:
    defaults = SMALL.pipeline_defaults.model_copy(update={"processing_image_uri": image})
    config = SMALL.model_copy(update={"pipeline_defaults": defaults})
    assert may(Call("ecr:BatchGetImage", repository), config)
    assert not may(Call("ecr:BatchGetImage", repository + "2"), config)


def test_redshift_writes_machines_and_reads_predictions_and_nothing_else() -> None:
    statements = copied(WIDE, KNOWN)[REDSHIFT_ROLE]
    assert allowed(s3("PutObject", "acme-inventory/machines/_runs/x"), statements)
    assert allowed(s3("GetObject", "acme-ndr/lake/prediction_feature_join/x.parquet"), statements)
    assert not allowed(s3("GetObject", "acme-ndr/lake/delta/x.parquet"), statements)
    assert not allowed(s3("PutObject", "acme-ndr/lake/prediction_feature_join/x.parquet"), statements)


def test_a_prefix_of_logs_that_is_none_is_told() -> None:
    for wrong in ("file:///logs", "s3://logs/*", "s3://logs/../x"):
        config = config_of({"jobs": {"delta_builder": {"input": {"s3_prefix": wrong}}}})
        with pytest.raises(SpecError, match=r"jobs\.delta_builder\.input\.s3_prefix"):
            raw_logs(config)


def test_the_template_gives_each_role_exactly_this_policy() -> None:
    names = {"WorkgroupIdDwhMain": NUMBER}
    for name, pipeline in PIPELINES.items():
        jobs = [job.name for job in pipeline.steps(WIDE)]
        role = "".join(word[:1].upper() + word[1:] for word in name.split("_")) + "JobRole"
        own = [statement for place, statement in every_statement(WIDE) if place in {"JobPolicy", role}]
        assert told(own, names) == [dict(statement) for statement in policy(WIDE, jobs, KNOWN)]


def test_pipelines_pass_on_the_roles_of_jobs_alone_and_only_to_sagemaker() -> None:
    statements = [statement for name, statement in every_statement(WIDE) if name == "PipelineRole"]
    names = {f"{role}.Arn": f"arn:role/{role}" for role in resources(WIDE, "AWS::IAM::Role")}
    known = told(statements, names)
    passing = Call("iam:PassRole", "arn:role/15mStreamingJobRole", {"iam:PassedToService": "sagemaker.amazonaws.com"})
    assert allowed(passing, known)
    assert not allowed(passing._replace(context={"iam:PassedToService": "ec2.amazonaws.com"}), known)
    assert not allowed(passing._replace(resource="arn:role/PipelineRole"), known)
    assert allowed(Call("sagemaker:CreateProcessingJob", HERE.arn("sagemaker", "processing-job/pipelines-x-y")), known)
    assert not allowed(Call("sagemaker:CreateProcessingJob", HERE.arn("sagemaker", "processing-job/mine")), known)


def test_roles_can_be_taken_on_by_this_account_alone() -> None:
    for each in resources(WIDE, "AWS::IAM::Role").values():
        (statement,) = each["AssumeRolePolicyDocument"]["Statement"]
        assert set(statement["Principal"]) == {"Service"}
        assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Fn::Sub": "${AWS::AccountId}"}}}


ALLOW = {"Sid": "A", "Effect": "Allow", "Action": ["s3:Get*"], "Resource": ["arn:aws:s3:::b/x?"]}


class TestJudging:
    """The judge of permissions itself: it must say no, too."""

    def test_a_denial_wins(self) -> None:
        call = s3("GetObject", "b/xy")
        assert allowed(call, [ALLOW])
        assert not allowed(call, [ALLOW, {**ALLOW, "Effect": "Deny"}])
        assert refused([call], []) == [call]

    def test_a_question_mark_is_one_letter(self) -> None:
        assert not covers(ALLOW, s3("GetObject", "b/x"))
        assert not covers(ALLOW, s3("GetObject", "b/xyz"))

    def test_what_is_never_asked_for_is_told(self) -> None:
        statement = {**ALLOW, "Action": ["s3:GetObject", "s3:PutObject"]}
        assert idle([s3("GetObject", "b/xy")], [statement]) == ["A s3:PutObject"]

    def test_a_condition_that_nobody_knows_is_no_permission(self) -> None:
        with pytest.raises(NotImplementedError):
            covers({**ALLOW, "Condition": {"Bool": {"aws:x": "true"}}}, s3("GetObject", "b/xy"))
