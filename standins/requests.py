"""Requests of AWS's protocols, read as what IAM asks permission for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree as ET

from standins.credentials import ACCOUNT, REGION
from standins.permissions import USER_ID, Call

_SINGLE = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
_NAMES = {
    "FeatureGroupName": "feature-group", "PipelineName": "pipeline", "ProcessingJobName": "processing-job",
    "EndpointName": "endpoint",
}  # fmt: skip
_RECORDS = {"PUT": "PutRecord", "GET": "GetRecord", "DELETE": "DeleteRecord"}
_MANY = {"BatchGetRecord": "Identifiers", "BatchWriteRecord": "Entries"}
_OWN = {"redshift-data:statement-owner-iam-userid": USER_ID}


class Request(NamedTuple):
    """One request over HTTP to a service; names of headers in lower case."""

    service: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def operation(self) -> str:
        """What services with one address for everything are asked to do."""
        return self.headers.get("x-amz-target", "").rpartition(".")[2]

    @property
    def said(self) -> dict[str, Any]:
        """A body of JSON."""
        return dict(json.loads(self.body or b"{}"))

    @property
    def steps(self) -> list[str]:
        """The path, piece by piece."""
        return [unquote(step) for step in urlsplit(self.path).path.strip("/").split("/")]


class Answer(NamedTuple):
    """What a service said; status 0 and no words where it did not."""

    status: int = 0
    body: bytes = b""


def calls_of(request: Request, answer: Answer, sessions: dict[str, str]) -> list[Call]:
    """What a request needs permission for. ``sessions`` of Redshift remember their cluster, from answers to requests.

    That an object is missing is told only to who may list its bucket, without any prefix that a condition could see.

    Raises:
        KeyError: nobody here knows the service.
    """
    if request.service == "redshift_data":
        return _redshift(request, answer.body, sessions)
    found = _READERS[request.service](request)
    if request.service == "s3" and answer.status == HTTPStatus.NOT_FOUND and found[0].action == "s3:GetObject":
        found.append(Call("s3:ListBucket", found[0].resource.partition("/")[0]))
    return found


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def _s3(request: Request) -> list[Call]:
    """Path style: a bucket, then perhaps a key."""
    parts = urlsplit(request.path)
    query = parse_qs(parts.query, keep_blank_values=True)
    bucket, _, key = parts.path.lstrip("/").partition("/")
    place = f"arn:aws:s3:::{bucket}"
    if not key:
        return _bucket(request, place, query)
    whole = f"{place}/{unquote(key)}"
    copied = request.headers.get("x-amz-copy-source")
    source = [Call("s3:GetObject", "arn:aws:s3:::" + unquote(copied.lstrip("/")))] if copied else []
    action = {"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "POST": "PutObject"}.get(request.method)
    if "uploadId" in query and request.method in {"GET", "DELETE"}:
        action = "ListMultipartUploadParts" if request.method == "GET" else "AbortMultipartUpload"
    return [Call(f"s3:{action or 'DeleteObject'}", whole), *source]


def _bucket(request: Request, place: str, query: Mapping[str, list[str]]) -> list[Call]:
    if request.method == "POST" and "delete" in query:
        keys = [each.text or "" for each in ET.fromstring(request.body).iter() if each.tag.endswith("Key")]  # noqa: S314 - our own client wrote it
        return [Call("s3:DeleteObject", f"{place}/{key}") for key in keys]
    if request.method == "PUT":
        return [Call("s3:CreateBucket", place)]
    if request.method == "DELETE":
        return [Call("s3:DeleteBucket", place)]
    for asked, action in (("location", "GetBucketLocation"), ("uploads", "ListBucketMultipartUploads")):
        if asked in query:
            return [Call(f"s3:{action}", place)]
    named = {"s3:prefix": query["prefix"][0]} if "prefix" in query else {}
    return [Call("s3:ListBucket", place, named)]


def _dynamodb(request: Request) -> list[Call]:
    operation, said = request.operation, request.said
    if operation in {"TransactWriteItems", "TransactGetItems"}:
        items = [(kind, item["TableName"]) for each in said["TransactItems"] for kind, item in each.items()]
        pairs = {(_SINGLE.get(kind, "GetItem"), table) for kind, table in items}
    elif operation in {"BatchGetItem", "BatchWriteItem"}:
        pairs = {(operation, table) for table in said["RequestItems"]}
    else:
        pairs = {(operation, said.get("TableName", "?"))}
    return [Call(f"dynamodb:{action}", _table(table)) for action, table in sorted(pairs)]


def _table(name: str) -> str:
    return name if name.startswith("arn:") else _arn("dynamodb", f"table/{name}")


def _sagemaker(request: Request) -> list[Call]:
    said = request.said
    named = [_arn("sagemaker", f"{kind}/{said[key].lower()}") for key, kind in _NAMES.items() if key in said]
    resource = said.get("PipelineExecutionArn") or (named[0] if named else "*")
    return [Call(f"sagemaker:{request.operation}", resource)]


def _endpoint(request: Request) -> list[Call]:
    return [Call("sagemaker:InvokeEndpoint", _arn("sagemaker", f"endpoint/{request.steps[1].lower()}"))]


def _records(request: Request) -> list[Call]:
    if request.steps[0] in _MANY:
        names = {each["FeatureGroupName"].lower() for each in request.said[_MANY[request.steps[0]]]}
        return [Call(f"sagemaker:{request.steps[0]}", _arn("sagemaker", f"feature-group/{n}")) for n in sorted(names)]
    group = _arn("sagemaker", f"feature-group/{request.steps[1].lower()}")
    return [Call(f"sagemaker:{_RECORDS[request.method]}", group)]


def _redshift(request: Request, answer: bytes, sessions: dict[str, str]) -> list[Call]:
    operation, said = request.operation, request.said
    if operation not in {"ExecuteStatement", "BatchExecuteStatement"}:
        return [Call(f"redshift-data:{operation.removesuffix('V2')}", "*", _OWN)]
    cluster = said.get("ClusterIdentifier") or sessions.get(said.get("SessionId", ""), "?")
    if session := _answered(answer).get("SessionId"):
        sessions[session] = cluster
    found = [Call(f"redshift-data:{operation}", _arn("redshift", f"cluster:{cluster}"))]
    if secret := said.get("SecretArn"):
        found.append(Call("secretsmanager:GetSecretValue", secret))
    if user := said.get("DbUser"):
        named = (f"dbuser:{cluster}/{user}", f"dbname:{cluster}/{said.get('Database')}")
        found += [Call("redshift:GetClusterCredentials", _arn("redshift", each)) for each in named]
    return found


def _answered(answer: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(answer or b"{}"))
    except ValueError:
        return {}


_READERS = {
    "s3": _s3,
    "dynamodb": _dynamodb,
    "sagemaker": _sagemaker,
    "sagemaker_runtime": _endpoint,
    "sagemaker_featurestore_runtime": _records,
}
