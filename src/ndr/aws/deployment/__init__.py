"""One CloudFormation template with everything that an account needs to run the pipelines of a configuration."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ndr.aws.deployment.alarms import alarms
from ndr.aws.deployment.chains import chains
from ndr.aws.deployment.definitions import pipelines, repository
from ndr.aws.deployment.parameters import conditions, parameters
from ndr.aws.deployment.parts import Resources, filled
from ndr.aws.deployment.roles import roles
from ndr.aws.deployment.schedules import schedules
from ndr.aws.deployment.services import offline_store
from ndr.aws.deployment.storage import buckets, storage, tables
from ndr.errors import UsageError, near_miss, shown
from ndr.specs import Config


def template(config: Config, existing: Collection[str] = ()) -> dict[str, Any]:
    """The template; buckets named in ``existing`` are there already and stay as they are.

    Raises:
        SpecError: the configuration breaks a rule, or does not say where the lake lies.
        UsageError: a bucket is called existing that the configuration does not use.
    """
    used = buckets(config)
    for name in existing:
        if name not in used:
            raise UsageError(
                f"the configuration has no prefix in the bucket {shown(name)!r}.{near_miss(name, used)} "
                f"It uses {', '.join(used)}."
            )
    resources: Resources = {
        **storage(config, existing),
        **repository(config),
        **roles(config),
        **pipelines(config),
        **chains(config),
        **schedules(config),
        **alarms(config),
    }
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"ndr: features, baselines and scores of project {config.project_name}",
        "Parameters": parameters(config),
        "Conditions": conditions(config),
        "Resources": filled(resources),
        "Outputs": filled(_outputs(config)),
    }


def _outputs(config: Config) -> Mapping[str, Any]:
    specs, ledger = tables(config)
    found = {
        "JobSpecTable": ("where ndr spec push puts the configuration", specs),
        "LedgerTable": ("where jobs remember what they made", ledger),
        "Batches": ("state machine of a quarter hour", "${Batches}"),
        "Baselines": ("state machine of inventory and baselines", "${Baselines}"),
        "Alarms": ("topic that alarms are sent to", "${AlarmTopic}"),
    }
    if not config.pipeline_defaults.processing_image_uri:
        found["Image"] = ("where to push the image of jobs", "${Repository.RepositoryUri}:${ImageTag}")
    if offline_store(config):
        found["FeatureStoreRole"] = ("write it to jobs.feature_store_ingest.role_arn", "${FeatureStoreRole.Arn}")
    return {name: {"Description": text, "Value": value} for name, (text, value) in found.items()}
