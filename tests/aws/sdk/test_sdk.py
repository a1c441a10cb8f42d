"""AWS's own SDK, given the same pipelines by hand, renders the same definitions."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from house.rooms import ROOT
from ndr.aws.pipelines import pipeline_definition
from ndr.jobs import PIPELINES
from ndr.specs import config_of

PYTHON = ROOT / ".venv-sdk" / "bin" / "python"
OFFICE = yaml.safe_load((ROOT / "docs" / "aws" / "pipelines" / "config.yaml").read_text(encoding="utf-8"))
LARGE = {
    "project_name": "all-sites",
    "feature_spec_version": "2.10",
    "pipeline_defaults": {
        "engine": "spark",
        "role_arn": "arn:aws:iam::210987654321:role/service-role/other",
        "table_name": "specs",
        "processing_image_uri": "210987654321.dkr.ecr.us-east-1.amazonaws.com/ndr-spark@sha256:" + "0" * 64,
        "processing_instance_type": "ml.r5.4xlarge",
        "processing_instance_count": 4,
        "volume_size_gb": 200,
        "max_runtime_seconds": 14_400,
        "environment": {"PYICEBERG_CATALOG__GLUE__TYPE": "glue"},
    },
    "jobs": {"model_training": {}},
}
CONFIGS = {"office": OFFICE, "large": LARGE}
pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="AWS's SDK is not here; make sdk brings it")


@cache
def rendered(config: str) -> Any:
    """What the SDK makes of a configuration; it starts once for all pipelines of it, and asks nobody."""
    with TemporaryDirectory() as folder:
        said, made = Path(folder, "config.json"), Path(folder, "made.json")
        said.write_text(json.dumps(CONFIGS[config]), encoding="utf-8")
        environment = {"HOME": folder, "XDG_CONFIG_DIRS": folder, "AWS_EC2_METADATA_DISABLED": "true"}
        command = [PYTHON, Path(__file__).with_name("render.py"), said, made]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603 - ours
        assert done.returncode == 0, done.stderr
        return json.loads(made.read_text(encoding="utf-8"))


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("name", PIPELINES)
def test_the_sdk_renders_the_same(name: str, config: str) -> None:
    ours = pipeline_definition(name, config_of(CONFIGS[config]))
    assert rendered(config)[name] == {"name": ours.name, "definition": ours.definition()}


def test_the_sdk_renders_every_pipeline_and_no_other() -> None:
    assert set(rendered("office")) == set(PIPELINES)
