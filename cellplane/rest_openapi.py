"""The OpenAPI document of the HTTP pages, written from the table of operations and protobuf's descriptors.

The pages serve it at /openapi.json. It states protobuf's JSON mapping: 64-bit numbers and enums as text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from cellplane.rest_table import INTEGERS, TABLE, Operation, message_of, values_of

Schema = dict[str, Any]

_LONG: Final = frozenset({FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT64})
_WELL_KNOWN: Final[dict[str, Schema]] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": "^-?[0-9]+([.][0-9]{1,9})?s$"},
    "google.protobuf.Any": {"type": "object", "properties": {"@type": {"type": "string"}}},
}
_STATUS: Final[Schema] = {
    "type": "object",
    "required": ["code", "message", "details"],
    "properties": {
        "code": {"type": "integer", "description": "A code of gRPC."},
        "message": {"type": "string"},
        "details": {"type": "array", "items": {"type": "object", "required": ["@type"]}},
    },
}
_FAILURES: Final = {
    "400": "The request can't be right.",
    "401": "The caller's certificate has expired while its connection was open: connect again.",
    "403": "The caller's certificate does not allow it.",
    "404": "There is none, or not any more.",
    "429": "The caller has as many calls answered at once as it may: wait for `retry-after`.",
    "500": "An error of ours: it is logged with the `x-request-id` of the answer.",
    "503": "Not all has been read yet, or the store is away: try again.",
}


def document(version: str) -> dict[str, Any]:
    """Write the document."""
    schemas: dict[str, Schema] = {"google.rpc.Status": _STATUS}
    paths: dict[str, dict[str, Any]] = {}
    for operation in TABLE:
        paths.setdefault(operation.path, {})[operation.verb.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Cellplane's Topology Service: classify, and what can be read", "version": version},
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.items()))},
    }


def _operation(operation: Operation, schemas: dict[str, Schema]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": operation.descriptor.full_name,
        "summary": operation.summary,
        "parameters": [_parameter(operation, name) for name in operation.fields],
        "responses": {
            "200": {
                "description": "The answer.",
                "headers": _headers(operation),
                "content": _json(_message(operation.descriptor.output_type, schemas)),
            },
            **{
                code: {"description": words, "content": _json(_reference("google.rpc.Status"))}
                for code, words in _FAILURES.items()
            },
        },
    }
    if operation.verb == "POST":
        body = _message(operation.descriptor.input_type, schemas, asked=True)
        found["responses"]["413"] = {
            "description": "The body is too large.",
            "content": _json(_reference("google.rpc.Status")),
        }
        found["requestBody"] = {"required": True, "content": _json(body)}
    return found


def _headers(operation: Operation) -> dict[str, Any]:
    headers = {"cache-control": "How long the answer may be kept, which the service alone says."}
    if operation.cached:
        headers["cache-tag"] = "What the answer depends on, for caches that purge by tag."
    return {
        name: {"description": words, "required": True, "schema": {"type": "string"}}
        for name, words in headers.items()
    }


def _parameter(operation: Operation, name: str) -> dict[str, Any]:
    descriptor = operation.parameter(name)
    if descriptor.type in INTEGERS:
        bits = 63 if descriptor.type in _LONG else 31
        schema: Schema = {"type": "integer", "minimum": -(2**bits), "maximum": 2**bits - 1}
    elif descriptor.type == FieldDescriptor.TYPE_ENUM:
        schema = {"type": "string", "enum": list(values_of(descriptor))}
    else:
        schema = _single(descriptor, {}, asked=False)
    if descriptor.is_repeated:
        schema = {"type": "array", "items": schema}
    where = "path" if name in operation.in_path else "query"
    return {"name": name, "in": where, "required": where == "path", "schema": schema}


def _message(descriptor: Descriptor, schemas: dict[str, Schema], *, asked: bool = False) -> Schema:
    """Refer to a message's schema, writing it first. What is asked is read more generously than answered."""
    name = f"{descriptor.full_name}.Asked" if asked else descriptor.full_name
    if name not in schemas:
        properties: dict[str, Schema] = {}
        schemas[name] = {"type": "object", "properties": properties, "additionalProperties": False}
        for field in descriptor.fields:
            properties[field.json_name] = _field(field, schemas, asked=asked)
    return _reference(name)


def _field(descriptor: FieldDescriptor, schemas: dict[str, Schema], *, asked: bool) -> Schema:
    entry = descriptor.message_type
    if entry is not None and entry.GetOptions().map_entry:
        values = _single(entry.fields_by_name["value"], schemas, asked=asked)
        schema: Schema = {"type": "object", "additionalProperties": values}
    elif descriptor.is_repeated:
        schema = {"type": "array", "items": _single(descriptor, schemas, asked=asked)}
    else:
        schema = _single(descriptor, schemas, asked=asked)
    return _either([schema, {"type": "null"}]) if asked else schema


def _single(descriptor: FieldDescriptor, schemas: dict[str, Schema], *, asked: bool) -> Schema:
    schema: Schema
    match descriptor.type:
        case FieldDescriptor.TYPE_MESSAGE:
            message = message_of(descriptor)
            known = _WELL_KNOWN.get(message.full_name)
            schema = known or _message(message, schemas, asked=asked)
        case FieldDescriptor.TYPE_ENUM:
            schema = {"type": "string", "enum": list(values_of(descriptor))}
            if asked:
                schema = _either([schema, {"type": "integer"}])
        case FieldDescriptor.TYPE_BOOL:
            schema = {"type": "boolean"}
        case FieldDescriptor.TYPE_BYTES:
            schema = {"type": "string", "contentEncoding": "base64"}
        case FieldDescriptor.TYPE_STRING:
            schema = {"type": "string"}
        case kind if kind in INTEGERS:
            schema = {"type": "string", "pattern": "^-?[0-9]+$"} if kind in _LONG else {"type": "integer"}
            if asked:
                schema = _either([{"type": "string", "pattern": "^-?[0-9]+$"}, {"type": "integer"}])
        case other:
            raise AssertionError(f"{descriptor.full_name}: no message of ours has a field of type {other}")
    return schema


def _either(schemas: Iterable[Schema]) -> Schema:
    return {"anyOf": list(schemas)}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: Schema) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
