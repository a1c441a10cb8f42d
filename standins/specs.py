"""The specs of the demo: a configuration as an administrator would write it, for the account of stand-ins."""

from __future__ import annotations

from typing import Any

from standins.credentials import ACCOUNT, REGION

PROJECT, VERSION = "demo", "1.0"
BUCKET, TABLE, LEDGER = "ndr-demo", "ml-projects-parameters", "ndr-ledger"
MACHINES, RESULTS = "assets.machines", "ml.scored_windows"
_REDSHIFT = {
    "cluster_identifier": "demo-cluster", "database": "dev", "region": REGION,
    "secret_arn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:demo-redshift",
    "iam_role": f"arn:aws:iam::{ACCOUNT}:role/redshift-s3",
}  # fmt: skip


def specs() -> dict[str, Any]:
    """The whole configuration, as ``ndr spec push`` takes it."""
    schema, table = RESULTS.split(".")
    source_schema, source = MACHINES.split(".")
    return {
        "project_name": PROJECT,
        "feature_spec_version": VERSION,
        "project_parameters": {"lake_s3_prefix": f"s3://{BUCKET}/lake"},
        "pipeline_defaults": {
            "role_arn": f"arn:aws:iam::{ACCOUNT}:role/ndr-jobs",
            "processing_image_uri": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/ndr:0.1.0",
            "table_name": TABLE,
            "ledger_table_name": LEDGER,
        },
        "jobs": {
            "delta_builder": {"input": {"s3_prefix": f"s3://{BUCKET}/raw", "format": "json"}},
            "machine_inventory_unload": {
                "redshift": _REDSHIFT,
                "query": {"schema": source_schema, "table": source, "ip_column": "host_ip"},
                "output": {"s3_prefix": f"s3://{BUCKET}/inventory", "partitioning": ["snapshot_month"]},
            },
            "model_training": {"days": 30},
            "inference_predictions": {},
            "prediction_feature_join": {
                "destination": {"type": "redshift", "redshift": {**_REDSHIFT, "schema": schema, "table": table}}
            },
            "feature_store_ingest": {"feature_groups": {"fg_c": "demo-fg-c", "predictions": "demo-predictions"}},
        },
    }
