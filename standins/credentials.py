"""Credentials that open nothing, and the addresses of stand-ins, as the environment that AWS's tools read."""

from __future__ import annotations

from collections.abc import Mapping

REGION = "eu-central-1"
ACCOUNT = "123456789012"


def environment(**endpoints: str) -> Mapping[str, str]:
    """Variables for a process that may know stand-ins only: service -> address, as in ``s3="http://127.0.0.1:9000"``."""
    return {
        "AWS_ACCESS_KEY_ID": "standin",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_SESSION_TOKEN": "",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        **{f"AWS_ENDPOINT_URL_{service.upper()}": url for service, url in endpoints.items()},
    }
