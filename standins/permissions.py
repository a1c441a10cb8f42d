"""Permissions: whether statements of IAM allow a call, by the rules of IAM that our policies use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from standins.credentials import REGION

USER_ID = "AROASTANDIN:job"
"""Who calls, as IAM's variable aws:userid has it."""


class Call(NamedTuple):
    """An action on a resource, with the values of the condition keys that IAM knows of it."""

    action: str
    resource: str
    context: Mapping[str, str] = {}


def allowed(call: Call, statements: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a statement allows the call, and none denies it."""
    effects = {str(statement["Effect"]) for statement in statements if covers(statement, call)}
    return effects == {"Allow"}


def refused(calls: Iterable[Call], statements: Sequence[Mapping[str, Any]]) -> list[Call]:
    """The calls that nothing allows."""
    return [call for call in calls if not allowed(call, statements)]


def idle(calls: Sequence[Call], statements: Iterable[Mapping[str, Any]]) -> list[str]:
    """Statement and action of what is allowed and was never asked for."""
    return [
        f"{statement['Sid']} {action}"
        for statement in statements
        for action in _list(statement["Action"])
        if not any(call.action == action and covers(statement, call) for call in calls)
    ]


def covers(statement: Mapping[str, Any], call: Call) -> bool:
    """Whether a statement is about a call: action, resource and every condition."""
    context = {"aws:RequestedRegion": REGION, "aws:userid": USER_ID, **call.context}
    conditions = [
        (operator, context.get(key), _list(values))
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    ]
    return (
        any(_like(call.action.lower(), action.lower()) for action in _list(statement["Action"]))
        and any(_like(call.resource, _told(resource, context)) for resource in _list(statement["Resource"]))
        and all(_holds(operator, seen, [_told(v, context) for v in values]) for operator, seen, values in conditions)
    )


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _told(text: str, context: Mapping[str, str]) -> str:
    """A text with IAM's variables filled in; one that nobody knows is a text that nothing equals."""
    return re.sub(r"\$\{([^}]+)\}", lambda found: context.get(found[1], f"unknown {found[1]}"), text)


def _like(seen: str, pattern: str) -> bool:
    wild = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(wild, seen, re.DOTALL) is not None


def _holds(operator: str, seen: str | None, values: list[str]) -> bool:
    """Whether a condition holds; a key that the call does not have fulfils those alone that say IfExists.

    Raises:
        NotImplementedError: our policies use no such operator.
    """
    if operator == "StringEquals":
        return seen in values
    if operator.endswith("IfExists"):
        return seen is None or _holds(operator.removesuffix("IfExists"), seen, values)
    if operator == "StringLike":
        return seen is not None and any(_like(seen, value) for value in values)
    raise NotImplementedError(operator)
