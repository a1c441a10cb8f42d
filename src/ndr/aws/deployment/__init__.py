"""One CloudFormation template with everything that an account needs to run the pipelines of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ndr.aws.deployment.alarms import alarms
from ndr.aws.deployment.chains import chains
from ndr.aws.deployment.definitions import image, pipelines, repository
from ndr.aws.deployment.parameters import conditions, parameters
from ndr.aws.deployment.parts import Resources, filled
from ndr.aws.deployment.roles import roles
from ndr.aws.deployment.schedules import schedules
from ndr.aws.deployment.services import offline_store
from ndr.aws.deployment.storage import Existing, storage, tables
from ndr.specs import Config


def template(config: Config, existing: Existing | None = None) -> dict[str, Any]:
    """The template; what is ``existing`` stays as it is.

    Raises:
        SpecError: the configuration breaks a rule, or does not say where the lake lies.
        UsageError: something is called existing that the configuration does not use.
    """
    existing = existing or Existing()
    existing.check(config)
    resources: Resources = {
        **storage(config, existing),
        **repository(config, existing),
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
        "JobPolicy": ("attach it to whoever runs ndr job by hand", "${JobPolicy}"),
        "Alarms": ("topic that alarms are sent to", "${AlarmTopic}"),
    }
    if not config.pipeline_defaults.processing_image_uri:
        found["Image"] = ("where to push the image of jobs", image(config))
    if offline_store(config):
        found["FeatureStoreRole"] = ("write it to jobs.feature_store_ingest.role_arn", "${FeatureStoreRole.Arn}")
    return {name: {"Description": text, "Value": value} for name, (text, value) in found.items()}
