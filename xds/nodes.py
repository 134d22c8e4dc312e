"""Who is asking: the node as a client describes itself, its identity as a certificate proves it, and its
group.

Read from the first request of a stream and handed to `classify`, which picks the group whose Snapshot it gets
(`Snapshot -> Response`). What a node says of itself is never proof; what is not needed of it is not kept.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Struct, Value

    from pb.envoy.config.core.v3 import base_pb2

MAX_METADATA_BYTES: Final = 4096
"""Of its metadata a node may have so much kept, the smallest entries first; each open stream holds it."""

MOST_CHARACTERS: Final = 1024
"""Of each text that a node says of itself so much is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A client in its own words. Envoy's list of some 500 extensions is left behind when the request is
    parsed.
    """

    id: str
    cluster: str = ""
    region: str = ""
    zone: str = ""
    sub_zone: str = ""
    user_agent_name: str = ""
    user_agent_version: str = ""
    """`1.40.0`; empty for clients that do not tell."""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_envoy(self) -> bool:
        """Tell whether it calls itself an Envoy, as each of them does."""
        return self.user_agent_name == "envoy"

    @classmethod
    def of(cls, message: "base_pb2.Node") -> "Node":
        """Take over what is needed."""
        build = message.user_agent_build_version.version
        known = message.HasField("user_agent_build_version")
        numbers = f"{build.major_number}.{build.minor_number}.{build.patch}" if known else ""
        return cls(
            id=message.id[:MOST_CHARACTERS],
            cluster=message.cluster[:MOST_CHARACTERS],
            region=message.locality.region[:MOST_CHARACTERS],
            zone=message.locality.zone[:MOST_CHARACTERS],
            sub_zone=message.locality.sub_zone[:MOST_CHARACTERS],
            user_agent_name=message.user_agent_name[:MOST_CHARACTERS],
            user_agent_version=numbers or message.user_agent_version[:MOST_CHARACTERS],
            metadata=_bounded(message.metadata),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What the client's certificate says, verified by the TLS handshake."""

    common_name: str = ""
    uris: tuple[str, ...] = ()
    """Subject alternative names of that kind; a SPIFFE id is one."""
    dns_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why this node gets nothing from us. It ends the stream with PERMISSION_DENIED."""

    reason: str


Classify = Callable[[Node, Identity | None], str | Refusal]
"""Names the group of a node. The identity is None where mutual TLS is off."""


def _bounded(struct: "Struct") -> dict[str, Any]:
    sizes = {key: len(key.encode()) + value.ByteSize() for key, value in struct.fields.items()}
    kept: dict[str, Any] = {}
    left = MAX_METADATA_BYTES
    for key in sorted(sizes, key=lambda each: (sizes[each], each)):
        left -= sizes[key]
        if left < 0:
            break
        kept[key] = _value(struct.fields[key])
    return kept


def _plain(struct: "Struct") -> dict[str, Any]:
    return {key: _value(value) for key, value in struct.fields.items()}


def _value(value: "Value") -> Any:
    match value.WhichOneof("kind"):
        case "struct_value":
            return _plain(value.struct_value)
        case "list_value":
            return [_value(item) for item in value.list_value.values]
        case "string_value":
            return value.string_value
        case "number_value":
            return value.number_value
        case "bool_value":
            return value.bool_value
        case _:
            return None
