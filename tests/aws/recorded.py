"""The calls that each job of an account of stand-ins makes, beside those of whoever starts it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from standins import account, pipelines
from standins.permissions import Call, refused
from standins.recording import recording

from aws.deployed import HERE
from ndr.aws.policy import policy
from ndr.jobs import PIPELINES
from ndr.specs import Config


@contextmanager
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list[Call]]]:
    """Job -> its calls, each once, of every account that is made meanwhile."""
    environment, step = account.environment, pipelines._step
    noted: list[Any] = []
    found: dict[str, list[Call]] = {}
    with ExitStack() as stack:

        def through_proxies(**endpoints: str) -> Mapping[str, str]:
            known = {service: url for service, url in endpoints.items() if service != "sts"}
            noted.append(stack.enter_context(recording(known)))
            return environment(**{**endpoints, **noted[-1].endpoints})

        def alone(asked: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
            noted[-1].calls.clear()
            try:
                return step(asked, values)
            finally:
                found.setdefault(asked["Name"], []).extend(noted[-1].distinct())

        monkeypatch.setattr(account, "environment", through_proxies)
        monkeypatch.setattr(pipelines, "_step", alone)
        yield found


def beyond(calls: Mapping[str, list[Call]], config: Config) -> dict[str, list[Call]]:
    """Job -> the calls that the policy of its pipeline's role does not allow."""
    found = {}
    for pipeline in PIPELINES.values():
        statements = policy(config, [job.name for job in pipeline.steps(config)], HERE)
        found |= {job: refused(calls[job], statements) for job in pipeline.jobs if job in calls}
    return {job: left for job, left in found.items() if left}
