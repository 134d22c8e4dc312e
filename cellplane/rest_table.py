"""What is served over HTTP: one table of paths, each a method of a service, and where its fields come from.

The pages are routed by it and the OpenAPI document is written from it, so that neither says what the other
does not. Messages and access rules it takes from the descriptors. `Request -> ClassificationKey ->
Decision`, asked over HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

from topology.service.failure import invalid
from topology.service.server import FILES

_METHODS: Final[Mapping[str, MethodDescriptor]] = MappingProxyType(
    {
        f"/{service.full_name}/{method.name}": method
        for file in FILES
        for service in file.services_by_name.values()
        for method in service.methods
    }
)
INTEGERS: Final = frozenset(
    {
        FieldDescriptor.TYPE_INT32,
        FieldDescriptor.TYPE_INT64,
        FieldDescriptor.TYPE_UINT32,
        FieldDescriptor.TYPE_UINT64,
    }
)
_NUMBER: Final = re.compile(r"-?[0-9]{1,19}\Z")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]*={0,2}\Z")
_TRUTHS: Final = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Operation:
    """One path. `fields` names parameters by where they go in the request; those in the path are in
    braces.
    """

    verb: str
    path: str
    method: str
    summary: str
    fields: Mapping[str, str] = field(default_factory=dict)
    cached: bool = False

    @property
    def descriptor(self) -> MethodDescriptor:
        """The method that answers."""
        return _METHODS[self.method]

    @property
    def in_path(self) -> tuple[str, ...]:
        """The parameters that stand in the path."""
        return tuple(name for name in self.fields if f"{{{name}}}" in self.path)

    def parameter(self, name: str) -> FieldDescriptor:
        """Give the field that a parameter fills."""
        message = self.descriptor.input_type
        *parents, last = self.fields[name].split(".")
        for parent in parents:
            message = message_of(message.fields_by_name[parent])
        return message.fields_by_name[last]

    def request(self, given: Sequence[tuple[str, str]]) -> Message:
        """Make the request of parameters. Raises Failure where one is unknown, twice there or malformed."""
        body: dict[str, Any] = {}
        for name, text in given:
            if name not in self.fields:
                known = ", ".join(self.fields) or "none"
                raise invalid(f"{name[:64]!r} is no parameter here: there are {known}")
            at = body
            *parents, last = self.fields[name].split(".")
            for parent in parents:
                at = at.setdefault(parent, {})
            descriptor = self.parameter(name)
            value = _value(descriptor, name, text)
            if descriptor.is_repeated:
                at.setdefault(last, []).append(value)
            elif last in at:
                raise invalid(f"{name}: is there twice")
            else:
                at[last] = value
        return self.parsed(body)

    def parsed(self, body: Any) -> Message:
        """Make the request of its JSON. Raises Failure where that is none."""
        request = message_factory.GetMessageClass(self.descriptor.input_type)()
        try:
            return json_format.ParseDict(body, request)
        except (ValueError, RecursionError, AttributeError, TypeError, json_format.ParseError) as error:
            name = self.descriptor.input_type.name
            raise invalid(f"the request is no {name} in JSON: {error}") from None


def _value(descriptor: FieldDescriptor, name: str, text: str) -> Any:
    """Read a parameter more strictly than protobuf's JSON does, which takes `1_0` for a number."""
    if descriptor.type in INTEGERS:
        if not _NUMBER.match(text):
            raise invalid(f"{name}: {text[:64]!r} is no whole number")
        return int(text)
    if descriptor.type == FieldDescriptor.TYPE_BOOL:
        if text not in _TRUTHS:
            raise invalid(f"{name}: {text[:64]!r} is neither true nor false")
        return _TRUTHS[text]
    if descriptor.type == FieldDescriptor.TYPE_BYTES and not _BASE64.match(text):
        raise invalid(f"{name}: {text[:64]!r} is no base64")
    if descriptor.type == FieldDescriptor.TYPE_ENUM and text not in (known := values_of(descriptor)):
        raise invalid(f"{name}: {text[:64]!r} is none: send one of {', '.join(known)}")
    return text


def values_of(descriptor: FieldDescriptor) -> tuple[str, ...]:
    """Name the values of an enum's field."""
    kind = descriptor.enum_type
    if kind is None:
        raise AssertionError(f"{descriptor.full_name} is no enum")
    return tuple(value.name for value in kind.values)


def message_of(descriptor: FieldDescriptor) -> Descriptor:
    """Give the message of a field that holds one."""
    kind = descriptor.message_type
    if kind is None:
        raise AssertionError(f"{descriptor.full_name} is no message")
    return kind


_CLASSIFY: Final = "/gitlab.cells.topology_service.ClassifyService"
_OURS: Final = "/cellplane.topology.v1"
_CLAIMS: Final = "/gitlab.cells.topology_service.claims.v1.ClaimService"
_MOVES: Final = f"{_OURS}.MoveService"
_MOMENT: Final = {"revision": "revision", "fresh": "fresh"}
TABLE: Final = (
    Operation(
        "POST",
        "/v1/classify",
        f"{_CLASSIFY}/Classify",
        "Where a request goes: the first claim that somebody owns decides.",
        cached=True,
    ),
    Operation("GET", "/v1/cells", f"{_OURS}.CellService/ListCells", "All cells.", _MOMENT),
    Operation(
        "GET", "/v1/cells/{id}", f"{_OURS}.CellService/GetCell", "One cell.", {"id": "id", "fresh": "fresh"}
    ),
    Operation(
        "GET",
        "/v1/cells/{id}/sequences",
        "/gitlab.cells.topology_service.CellService/GetCell",
        "What ids a cell may hand out.",
        {"id": "cell_id"},
    ),
    Operation(
        "GET",
        "/v1/cells/{id}/claims",
        f"{_CLAIMS}/ListRecords",
        "A cell's claims of one source, or of all, in the order of their rows.",
        {
            "id": "cell_id",
            "sourceType": "source_type",
            "bucketType": "bucket_types",
            "sourceIdGt": "source_id_gt",
            "sourceIdLte": "source_id_lte",
        },
    ),
    Operation(
        "GET",
        "/v1/cells/{id}/leases",
        f"{_CLAIMS}/ListLeases",
        "A cell's open leases, the oldest first.",
        {"id": "cell_id", "limit": "limit", "createdAfter": "created_after"},
    ),
    Operation(
        "GET",
        "/v1/claims",
        f"{_CLAIMS}/GetRecord",
        "Who owns a name.",
        {"bucketType": "bucket.type", "value": "bucket.value"},
    ),
    Operation(
        "GET",
        "/v1/moves",
        f"{_MOVES}/ListMoves",
        "Moves of owners that go on, the newest first, or all; and who carries them on.",
        {"all": "all", "owner": "owner"},
    ),
    Operation(
        "GET",
        "/v1/moves/{id}",
        f"{_MOVES}/GetMove",
        "One move, by its id or the beginning of it, with all that happened.",
        {"id": "move_id"},
    ),
    Operation(
        "GET",
        "/v1/documents/{kind}",
        f"{_OURS}.DocumentService/ListDocuments",
        "Documents of a kind, such as rules.",
        {"kind": "kind", "name": "name", **_MOMENT},
    ),
)
