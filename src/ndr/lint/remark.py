"""What a check of a configuration says about one key."""

from __future__ import annotations

from typing import Any, NamedTuple

from ndr.places import OUTPUTS
from ndr.specs import Config

IGNORED = "ignored"
"""The key does nothing here, and nothing is lost by it."""
DIFFERS = "differs"
"""The previous platform would have done something else."""
REFUSED = "refused"
"""Jobs on AWS stop at it."""


class Remark(NamedTuple):
    """What is said about a key."""

    key: str
    kind: str
    remark: str


def said_at(values: Any, key: str) -> Any:
    """The value at a dotted path of nested maps; None where there is none."""
    for step in key.split("."):
        values = values.get(step) if isinstance(values, dict) else None
    return values


def prefix_in(said: Any) -> str | None:
    """The prefix that a value names, as such or under ``s3_prefix``, without the slash at its end."""
    prefix = said.get("s3_prefix") if isinstance(said, dict) else said
    return prefix.rstrip("/") if isinstance(prefix, str) and prefix else None


def output_of(config: Config, job: str) -> str | None:
    """Where a job writes, by the configuration."""
    _, keys = OUTPUTS[job]
    return next(filter(None, (prefix_in(said_at(config.jobs.get(job), key)) for key in keys)), None)


def elsewhere(config: Config, said: Any, producer: str) -> str | None:
    """What to say of a prefix that is read, when its table is written to another one."""
    read, written = prefix_in(said), output_of(config, producer)
    if read is None or written is None or f"{read}/".startswith(f"{written}/"):
        return None
    return f"names {read}, while {producer} writes to {written}; what {producer} writes is what is read."
