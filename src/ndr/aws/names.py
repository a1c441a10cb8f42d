"""Names: what things of a project are called at AWS, whose services each allow other letters and lengths."""

from __future__ import annotations

import hashlib
import re

from ndr.errors import SpecError, shown

_LONGEST = 64
"""What rules and schedules of EventBridge allow; others allow more."""
_PLAIN = re.compile(r"[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*")


def words(project: str) -> list[str]:
    """The letters and digits of a project, all that SageMaker and others let a name have beside hyphens.

    Raises:
        SpecError: there are none.
    """
    found = re.findall(r"[A-Za-z0-9]+", project)
    if not found:
        raise SpecError(
            f"project_name: {shown(project)!r} has neither letters nor digits, and SageMaker names pipelines by "
            "them alone; choose another name."
        )
    return found


def shared_name(project: str) -> str | None:
    """What to tell of a project whose name at AWS could be that of another; of most there is nothing to tell.

    >>> shared_name("office-west")
    """
    plain = "-".join(words(project))
    if plain == project:
        return None
    return (
        f"project {project} is called {plain} at AWS, as every project is whose letters and digits are the same; "
        "an account holds one of them only."
    )


def pipeline_name(project: str, pipeline: str) -> str:
    """What SageMaker calls a pipeline of a project.

    >>> pipeline_name("office_west", "15m_streaming")
    'office-west-15m-streaming'

    Raises:
        SpecError: the name of the project has neither letters nor digits.
    """
    return "-".join((*words(project), *pipeline.split("_")))


def stack_name(project: str, name: str) -> str:
    """What something of a project is called in its account, in at most 64 letters.

    >>> stack_name("office.west", "batches")
    'ndr-office-west-batches'

    Raises:
        SpecError: the name of the project has neither letters nor digits.
    """
    whole = "-".join(("ndr", *words(project), name))
    if len(whole) <= _LONGEST:
        return whole
    end = f"-{_digest(project)}-{name}"
    return whole[: _LONGEST - len(end)].rstrip("-") + end


def repository_name(project: str) -> str:
    """The repository of images that the template makes where the configuration names no image.

    Raises:
        SpecError: the name of the project has neither letters nor digits.
    """
    return "-".join((*words(project.lower()), "ndr"))


def logical_name(kind: str, name: str) -> str:
    """What the template calls a bucket or a workgroup: another name for each, the same whatever else there is.

    >>> logical_name("Bucket", "acme-ndr"), logical_name("Bucket", "acme.ndr")
    ('BucketAcmeNdr', 'BucketAcmeNdr1e072328')
    """
    found = kind + "".join(word.capitalize() for word in re.findall("[a-z0-9]+", name))
    known = _PLAIN.fullmatch(name) and not name.endswith("-policy")  # for a bucket's policy is called so
    return found if known else found + _digest(name)


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]
