"""What the parts of the template have in common: names, places and how CloudFormation fills them in."""

from __future__ import annotations

from typing import Any

from ndr.aws.policy import destination
from ndr.specs import Config
from ndr.tables.inventory_unload import InventoryUnload

Resources = dict[str, dict[str, Any]]
_OURS = ("${aws:", "${!")


def filled(value: Any) -> Any:
    """Texts with ``${…}`` as CloudFormation is asked to fill them in; variables of IAM stay."""
    if isinstance(value, dict):
        return value if "Fn::Sub" in value else {key: filled(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [filled(item) for item in value]
    if isinstance(value, str) and "${" in value and not value.startswith("${aws:"):
        return {"Fn::Sub": value}
    return value


def camel(name: str) -> str:
    """A name as CloudFormation takes it.

    >>> camel("15m_streaming")
    '15mStreaming'
    """
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def job_role(pipeline: str) -> str:
    """What the template calls the role that the jobs of a pipeline run as."""
    return f"{camel(pipeline)}JobRole"


def pipeline_resource(pipeline: str) -> str:
    """What the template calls a pipeline."""
    return f"{camel(pipeline)}Pipeline"


def workgroups(config: Config) -> list[str]:
    """The workgroups of Redshift Serverless that jobs ask, whose ids the template must be told.

    Raises:
        SpecError: a spec breaks a rule.
    """
    unload, table = config.other("machine_inventory_unload"), destination(config).redshift
    asked = [unload.redshift] if isinstance(unload, InventoryUnload) else []
    names = [access.workgroup_name for access in (*asked, *([table] if table else []))]
    return sorted({name for name in names if name})
