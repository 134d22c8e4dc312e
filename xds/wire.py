"""Requests read from bytes, and responses joined from the bytes of resources.

The server hands in what arrived, streams hand in what to say, and the server writes the payload as it is
(`Snapshot -> Response`). Streams that need the same set share one response. Resources are never serialised
here.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final, TypeVar

from google.protobuf.message import DecodeError

from pb.envoy.service.discovery.v3 import discovery_pb2
from xds.encoding import field as encoded_field
from xds.encoding import text_field
from xds.names import SMALLEST_BYTES, NameTable, start_of_names
from xds.nodes import Node
from xds.resource import TYPE_URL_PREFIX, Resource, ResourceType

SHARED_BYTES: Final = 64 * 1024 * 1024
TYPE_URL_BYTES: Final = TYPE_URL_PREFIX.encode()
SHORT_BYTES: Final = 512
SHORT_KEPT: Final = 64

T = TypeVar("T")


class Status(StrEnum):
    """The gRPC status with which a stream ends; the names are gRPC's."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    UNAVAILABLE = "UNAVAILABLE"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"


@dataclass(frozen=True, slots=True)
class ProtocolError:
    """Why a stream has to end."""

    status: Status
    message: str


@dataclass(frozen=True, slots=True)
class DeltaRequest:
    """A DeltaDiscoveryRequest, as far as it matters."""

    type_url: str = ""
    node: Node | None = None
    subscribe: Sequence[str] = ()
    unsubscribe: Sequence[str] = ()
    initial_versions: Mapping[str, str] = field(default_factory=dict)
    nonce: str = ""
    error: str | None = None
    """The client's words if it rejects the response with this nonce. Nothing else says so, least of all
    versions."""


@dataclass(frozen=True, slots=True)
class SotwRequest:
    """A DiscoveryRequest, as far as it matters."""

    type_url: str = ""
    node: Node | None = None
    names: Sequence[str] = ()
    version: str = ""
    nonce: str = ""
    error: str | None = None


def remembering(parse: Callable[[bytes], T]) -> Callable[[bytes], T]:
    """Read a short request once: what a fleet answers to a response that it shares is the same bytes."""
    short = lru_cache(SHORT_KEPT)(parse)
    return lambda data: short(data) if len(data) <= SHORT_BYTES else parse(data)


def parse_delta(data: bytes, table: NameTable | None = None) -> DeltaRequest | ProtocolError:
    """Read a Delta request. Garbage is a protocol error."""
    try:
        block, names = _known_names(data, len(data), table)
        message = discovery_pb2.DeltaDiscoveryRequest.FromString(data[: len(data) - len(block)])
    except DecodeError as error:
        return ProtocolError(Status.INVALID_ARGUMENT, f"this is no DeltaDiscoveryRequest: {error}")
    return DeltaRequest(
        type_url=message.type_url,
        node=Node.of(message.node) if message.HasField("node") else None,
        subscribe=names or tuple(message.resource_names_subscribe),
        unsubscribe=tuple(message.resource_names_unsubscribe),
        initial_versions=dict(message.initial_resource_versions),
        nonce=message.response_nonce,
        error=message.error_detail.message if message.HasField("error_detail") else None,
    )


def parse_sotw(data: bytes, table: NameTable | None = None) -> SotwRequest | ProtocolError:
    """Read a SotW request. Garbage is a protocol error. Each ACK repeats all names: mostly they are known."""
    try:
        end = data.rfind(TYPE_URL_BYTES) - 2
        block, names = _known_names(data, end, table)
        message = discovery_pb2.DiscoveryRequest.FromString(
            data[: end - len(block)] + data[end:] if block else data
        )
        if block and message.resource_names:
            # Others follow elsewhere, which no encoder does.
            names, message = (), discovery_pb2.DiscoveryRequest.FromString(data)
    except DecodeError as error:
        return ProtocolError(Status.INVALID_ARGUMENT, f"this is no DiscoveryRequest: {error}")
    return SotwRequest(
        type_url=message.type_url,
        node=Node.of(message.node) if message.HasField("node") else None,
        names=names or tuple(message.resource_names),
        version=message.version_info,
        nonce=message.response_nonce,
        error=message.error_detail.message if message.HasField("error_detail") else None,
    )


def _known_names(data: bytes, end: int, table: NameTable | None) -> tuple[bytes, tuple[str, ...]]:
    """Find the names among the bytes before `end`: their bytes, and what they say. Both empty where it is
    simpler to read all as it is.

    A message is its fields one after another: what is left without these bytes is a message too, as long as
    they are whole fields. So only blocks that have been read by themselves are taken out.
    """
    if table is None or end < SMALLEST_BYTES:
        return b"", ()
    at = start_of_names(data)
    if at is None or end - at < SMALLEST_BYTES:
        return b"", ()
    block = data[at:end]
    names = table.get(block)
    if names is None:
        # Field 3 holds the names in both variants.
        message = discovery_pb2.DiscoveryRequest()
        try:
            message.MergeFromString(block)
        except DecodeError:
            return b"", ()
        names = tuple(message.resource_names)
        message.ClearField("resource_names")
        if message.ByteSize():
            return b"", ()
        table.put(block, names)
    return block, names


@dataclass(frozen=True, slots=True, eq=False)
class Response:
    """One response, ready to be written; shared by all streams that need the same."""

    type: ResourceType
    version: str
    sequence: int
    """Rises with each response made; the nonce is its hexadecimal form."""
    resources: tuple[Resource, ...]
    removed: tuple[str, ...]
    payload: bytes = field(repr=False)

    @property
    def nonce(self) -> str:
        return f"{self.sequence:x}"


_Key = tuple[bool, ResourceType, str, tuple[int, ...], tuple[str, ...]]


@dataclass(slots=True, eq=False)
class Composer:
    """Makes responses, and keeps the newest ones to share. One for all streams of a server."""

    identifier: str
    """Says which replica and build speaks; Envoy shows it as `control_plane.identifier`."""
    shared_bytes: int = SHARED_BYTES
    _sequence: int = 0
    _shared: OrderedDict[_Key, Response] = field(default_factory=OrderedDict)
    _kept: int = 0

    def delta(
        self,
        kind: ResourceType,
        version: str,
        resources: Iterable[Resource],
        removed: Iterable[str] = (),
        after: int = 0,
    ) -> Response:
        """Make or share a DeltaDiscoveryResponse, younger than the stream's last one (`after`) of the
        type.
        """
        return self._compose(True, kind, version, tuple(resources), tuple(removed), after)

    def sotw(
        self, kind: ResourceType, version: str, resources: Iterable[Resource], after: int = 0
    ) -> Response:
        """Make or share a DiscoveryResponse, younger than the stream's last one (`after`) of the type."""
        return self._compose(False, kind, version, tuple(resources), (), after)

    def _compose(
        self,
        delta: bool,
        kind: ResourceType,
        version: str,
        resources: tuple[Resource, ...],
        removed: tuple[str, ...],
        after: int,
    ) -> Response:
        # The kept response holds the resources, so their ids can't be reused while the key is there.
        key = (delta, kind, version, tuple(map(id, resources)), removed)
        shared = self._shared.get(key)
        # A nonce is used once per stream: who has seen this response (or a younger one) gets a new one.
        if shared is not None and shared.sequence > after:
            return shared
        self._sequence += 1
        nonce = f"{self._sequence:x}"
        parts: list[bytes | memoryview] = [text_field(1, version)]
        # Under several aliases a resource is listed several times; it is sent once.
        once = {(r.alias_of or r.name): r for r in resources}.values() if kind.has_aliases else resources
        parts += [r.delta_field if delta else r.sotw_field for r in once]
        parts += [text_field(4, kind.type_url), text_field(5, nonce)]
        parts += [text_field(6, name) for name in dict.fromkeys(removed)]
        parts.append(encoded_field(7 if delta else 6, text_field(1, self.identifier)))
        response = Response(kind, version, self._sequence, resources, removed, b"".join(parts))
        self._keep(key, response)
        return response

    def _keep(self, key: _Key, response: Response) -> None:
        old = self._shared.pop(key, None)
        self._kept += _weight(response) - (_weight(old) if old else 0)
        self._shared[key] = response
        while self._kept > self.shared_bytes and self._shared:
            self._kept -= _weight(self._shared.popitem(last=False)[1])


def _weight(response: Response) -> int:
    """Estimate the bytes that a kept response takes: small ones are mostly their key and what they list."""
    return len(response.payload) + 500 * (2 + len(response.resources) + len(response.removed))
