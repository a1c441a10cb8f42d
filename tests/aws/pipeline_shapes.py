"""What SageMaker's own service model says about the steps of a pipeline."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape
from botocore.session import get_session

SAGEMAKER: ServiceModel = get_session().get_service_model("sagemaker")
FILLED = {"ProcessingInstanceCount": 2, "ProcessingInstanceType": "ml.m5.4xlarge", "ProcessingImageUri": "ndr:1"}


def filled(value: Any, values: Mapping[str, Any]) -> Any:
    """A definition with the values of its parameters in their places."""
    if isinstance(value, dict) and set(value) == {"Get"}:
        return values[value["Get"].removeprefix("Parameters.")]
    if isinstance(value, dict):
        return {name: filled(each, values) for name, each in value.items()}
    return [filled(each, values) for each in value] if isinstance(value, list) else value


def faults(value: Any, shape: Shape, place: str = "") -> Iterator[str]:
    """Everything in a value that the model does not allow: names, types, lengths, patterns, sets of words."""
    kind = {"structure": dict, "map": dict, "list": list, "string": str, "integer": int, "long": int}.get(
        shape.type_name, object
    )
    if not isinstance(value, kind) or isinstance(value, bool) != (shape.type_name == "boolean"):
        yield f"{place}: {value!r} is no {shape.type_name}"
    elif isinstance(shape, StructureShape):
        yield from (f"{place}.{name}: unknown" for name in value.keys() - shape.members.keys())
        yield from (f"{place}.{name}: missing" for name in set(shape.required_members) - value.keys())
        for name in value.keys() & shape.members.keys():
            yield from faults(value[name], shape.members[name], f"{place}.{name}")
    elif isinstance(shape, ListShape):
        for each in value:
            yield from faults(each, shape.member, f"{place}[]")
    elif isinstance(shape, MapShape):
        for name, each in value.items():
            yield from (*faults(name, shape.key, f"{place} key"), *faults(each, shape.value, f"{place}.{name}"))
    if isinstance(value, kind):
        yield from _beyond(value, shape, place)


def _beyond(value: Any, shape: Shape, place: str) -> Iterator[str]:
    rules = shape.metadata
    size = value if isinstance(value, int) else len(value) if hasattr(value, "__len__") else 0
    if ("min" in rules and size < rules["min"]) or ("max" in rules and size > rules["max"]):
        yield f"{place}: {size} is not within {rules.get('min')} and {rules.get('max')}"
    if isinstance(value, str) and "pattern" in rules and not re.fullmatch(rules["pattern"], value):
        yield f"{place}: {value!r} does not match {rules['pattern']}"
    if "enum" in rules and value not in rules["enum"]:
        yield f"{place}: {value!r} is none of {rules['enum'][:5]}…"
