"""Configurations that templates are made of, and their texts as CloudFormation would fill them in."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from standins.credentials import ACCOUNT, REGION

from ndr.aws.deployment import template
from ndr.aws.policy import Account
from ndr.specs import Config, config_of

SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:dwh-AbCdEf"
REDSHIFT_ROLE = f"arn:aws:iam::{ACCOUNT}:role/redshift"
HERE = Account(ACCOUNT, REGION, "aws")

SMALL = config_of(
    {
        "project_name": "office",
        "project_parameters": {"lake_s3_prefix": "s3://office-ndr/lake"},
        "jobs": {"delta_builder": {"input": {"s3_prefix": "s3://office-logs/firewall"}}},
    }
)
"""A lake and logs; everything else as it comes."""

ACCESS = {"cluster_identifier": "dwh", "database": "prod", "secret_arn": SECRET, "iam_role": REDSHIFT_ROLE}
OUTPUTS = {
    "delta_builder": "output", "pair_counts_builder": "pair_counts_output", "fg_a_builder": "fg_a_output",
    "fg_b_builder": "fg_b_output", "fg_c_builder": "fg_c_output", "inference_predictions": "output",
}  # fmt: skip
WIDE = config_of(
    {
        "project_name": "acme_west",
        "feature_spec_version": "2",
        "project_parameters": {"lake_s3_prefix": "s3://acme-ndr/lake"},
        "pipeline_defaults": {
            "processing_image_uri": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/ndr/jobs:1.0",
            "table_name": "acme-specs",
            "ledger_table_name": "acme-ledger",
        },
        "jobs": {
            **{job: {key: {"s3_prefix": f"s3://acme-{job.split('_')[0]}/{job}"}} for job, key in OUTPUTS.items()},
            "delta_builder": {
                "input": {"s3_prefix": "s3://acme-logs/palo"},
                "output": {"s3_prefix": "s3://acme-ndr/elsewhere/delta"},
            },
            "inference_predictions": {
                "model": {"endpoint_name": "Ndr-Forest"},
                "output": {"s3_prefix": "s3://acme-ndr/lake/predictions"},
            },
            "machine_inventory_unload": {
                "redshift": ACCESS,
                "query": {"schema": "inventory", "table": "machines"},
                "output": {"s3_prefix": "s3://acme-inventory/machines"},
            },
            "prediction_feature_join": {
                "destination": {
                    "type": "redshift",
                    "redshift": {
                        "workgroup_name": "dwh-main", "database": "prod", "iam_role": REDSHIFT_ROLE,
                        "schema": "ndr", "table": "joined",
                    },
                }
            },
            "feature_store_ingest": {
                "feature_groups": {"fg_a": "Acme-FgA"},
                "stores": ["online", "offline"],
                "offline_s3_prefix": "s3://acme-features/offline",
            },
            "model_training": {},
        },
    }
)  # fmt: skip
"""Everything that a configuration can name, each in a bucket of its own."""

ICEBERG = config_of(
    {
        "project_name": "ice",
        "project_parameters": {"lake_s3_prefix": "s3://ice-ndr"},
        "jobs": {
            "prediction_feature_join": {
                "destination": {"type": "iceberg", "iceberg": {"catalog": "glue", "table": "ndr.joined"}}
            }
        },
    }
)
CONFIGS: dict[str, Config] = {"small": SMALL, "wide": WIDE, "iceberg": ICEBERG}


def resources(config: Config, kind: str = "") -> dict[str, dict[str, Any]]:
    """Name -> properties of the resources of a kind, such as ``AWS::IAM::Role``."""
    found = template(config)["Resources"]
    return {name: each["Properties"] for name, each in found.items() if each["Type"].startswith(kind)}


def told(value: Any, names: dict[str, str]) -> Any:
    """A value with its texts filled in: what is known by name, and the account."""
    known = {"AWS::Partition": "aws", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT, **names}
    if isinstance(value, dict) and set(value) == {"Fn::Sub"}:
        return re.sub(r"\$\{([^}]+)\}", lambda found: known[found[1]], value["Fn::Sub"])
    if isinstance(value, dict) and set(value) == {"Ref"}:
        return known[value["Ref"]]
    if isinstance(value, dict):
        return {key: told(item, names) for key, item in value.items()}
    return [told(item, names) for item in value] if isinstance(value, list) else value


def plain(text: Any) -> Any:
    """A definition that the template holds as JSON."""
    return json.loads(text["Fn::Sub"] if isinstance(text, dict) else text)


def lint(*files: Path) -> tuple[int, str]:
    """What cfn-lint says of templates."""
    command = [sys.executable, "-c", "from cfnlint.runner import main; raise SystemExit(main())", *map(str, files)]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603 - our own files
    return said.returncode, said.stdout + said.stderr
