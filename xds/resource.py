"""Resource types as data, and resources: named, versioned by content, encoded once.

Whoever makes configuration hands `Resource.of(...)` a protobuf message; snapshots hold the result and streams
join its bytes (`Snapshot -> Response`). A resource never changes, and nothing serialises it a second time.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from xds.encoding import duration_field, field_head, text_field
from xds.errors import ResourceError

if TYPE_CHECKING:
    from google.protobuf.message import Message

TYPE_URL_PREFIX: Final = "type.googleapis.com/"


class Absence(Enum):
    """What to say of a name that does not exist. What frees a warming Envoy differs by type (Envoy 1.40)."""

    REMOVED = "removed"
    """Name it in `removed_resources`."""
    EMPTY = "empty"
    """Send a body that holds nothing but the name."""
    BODILESS = "bodiless"
    """Send a `Resource` with the name, also as its alias, and no body: who asked by an alias is freed."""
    SILENCE = "silence"
    """Say nothing: any answer would do harm, or the variant has none."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ResourceType:
    """One xDS resource type and how the protocol treats it. Compared by identity: use the constants below."""

    name: str
    """Short and bounded, fit for a metric label."""
    type_url: str
    service: str
    """The field's abbreviation: CDS, EDS, …"""
    legacy_wildcard: bool = False
    """A first request without names means everything."""
    full_state: bool = False
    """In SotW a response lists all that is, so what it leaves out is deleted."""
    asked_absent_delta: Absence = Absence.REMOVED
    asked_absent_sotw: Absence = Absence.SILENCE
    """What to answer when a name is asked for that does not exist."""
    removal_delta: Absence = Absence.REMOVED
    removal_sotw: Absence = Absence.SILENCE
    """What to say when a resource goes away (full-state types say it in SotW by leaving it out)."""
    on_demand: bool = False
    """Delta clients ask for it by names that come with their traffic, beside the wildcard if there is one."""
    may_expire: bool = False
    """It may have a time to live: Envoy 1.40 crashes when routes or endpoints expire."""
    has_aliases: bool = False
    """Clients ask by other names than the resources have."""
    kept_when_removed: bool = False
    """The client goes on using its copy of a removed resource until it unsubscribes."""

    def __repr__(self) -> str:
        return self.service


CLUSTER: Final = ResourceType(
    name="cluster",
    service="CDS",
    type_url=TYPE_URL_PREFIX + "envoy.config.cluster.v3.Cluster",
    legacy_wildcard=True,
    full_state=True,
    on_demand=True,
    may_expire=True,
)
ENDPOINT: Final = ResourceType(
    name="endpoint",
    service="EDS",
    type_url=TYPE_URL_PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment",
    asked_absent_sotw=Absence.EMPTY,
)
LISTENER: Final = ResourceType(
    name="listener",
    service="LDS",
    type_url=TYPE_URL_PREFIX + "envoy.config.listener.v3.Listener",
    legacy_wildcard=True,
    full_state=True,
    may_expire=True,
)
# `removed_resources` does not end the wait for a route configuration (15 s); an empty one does at once, and
# every request gets 404.
ROUTE: Final = ResourceType(
    name="route",
    service="RDS",
    type_url=TYPE_URL_PREFIX + "envoy.config.route.v3.RouteConfiguration",
    asked_absent_delta=Absence.EMPTY,
    asked_absent_sotw=Absence.EMPTY,
    kept_when_removed=True,
)
SCOPED_ROUTE: Final = ResourceType(
    name="scoped_route",
    service="SRDS",
    type_url=TYPE_URL_PREFIX + "envoy.config.route.v3.ScopedRouteConfiguration",
    legacy_wildcard=True,
    full_state=True,
)
# VHDS also opens without names, and that must not be read as "every virtual host of the fleet".
VIRTUAL_HOST: Final = ResourceType(
    name="virtual_host",
    service="VHDS",
    type_url=TYPE_URL_PREFIX + "envoy.config.route.v3.VirtualHost",
    asked_absent_delta=Absence.BODILESS,
    on_demand=True,
    has_aliases=True,
)
SECRET: Final = ResourceType(
    name="secret",
    service="SDS",
    type_url=TYPE_URL_PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret",
)
RUNTIME: Final = ResourceType(
    name="runtime",
    service="RTDS",
    type_url=TYPE_URL_PREFIX + "envoy.service.runtime.v3.Runtime",
    asked_absent_sotw=Absence.EMPTY,
    removal_sotw=Absence.EMPTY,
)
# Envoy answers 500 on a chain whose filter configuration was removed, so none ever is: Envoy unsubscribes by
# itself.
EXTENSION_CONFIG: Final = ResourceType(
    name="extension_config",
    service="ECDS",
    type_url=TYPE_URL_PREFIX + "envoy.config.core.v3.TypedExtensionConfig",
    asked_absent_delta=Absence.SILENCE,
    removal_delta=Absence.SILENCE,
)

TYPES = (CLUSTER, ENDPOINT, LISTENER, ROUTE, SCOPED_ROUTE, VIRTUAL_HOST, SECRET, RUNTIME, EXTENSION_CONFIG)
BY_URL: Final = {kind.type_url: kind for kind in TYPES}

Reference = tuple[ResourceType, str]


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """A named configuration message, encoded once for both variants.

    The Delta form is `Resource{name, version, Any}` and the SotW form is the `Any`, each as field 2 of its
    response. With the `Any` written last, one is the tail of the other and the body is the tail of both, so a
    single `bytes` holds all three.
    """

    type: ResourceType
    name: str
    version: str
    """16 hexadecimal digits of the content's SHA-256: the same on every replica and after every restart."""
    references: frozenset[Reference]
    """What must be at the client before this is sent, and must stay while the client has this."""
    fingerprint: int = field(repr=False)
    """64 bits of name and version; a set of resources has the sum of theirs, whatever the order."""
    delta_field: bytes = field(repr=False)
    _sotw_at: int = field(repr=False)
    _body_at: int = field(repr=False)
    aliases: tuple[str, ...] = ()
    alias_of: str = ""
    """The name that it goes by on the wire, where ours is an alias."""
    lazy: bool = False
    """Sent in Delta to who asks for it by name, and not for a wildcard."""
    ttl_seconds: float = 0.0
    """So long a Delta client keeps it without a word from us; 0 is for ever."""

    @classmethod
    def of(
        cls,
        kind: ResourceType,
        name: str,
        message: "Message | bytes",
        references: Iterable[Reference] = (),
        aliases: Iterable[str] = (),
        *,
        lazy: bool = False,
        ttl_seconds: float = 0.0,
    ) -> "Resource":
        """Make a resource of a message (or of its serialised bytes), hashing and encoding it once. It can be
        asked for by its aliases too. Raises ResourceError for what its type cannot be.
        """
        if lazy and not kind.on_demand:
            raise ResourceError(kind, name, "lazy", "nobody asks for this type on demand; leave lazy out")
        if ttl_seconds and not kind.may_expire:
            fix = "only clusters and listeners expire without harm; leave ttl_seconds out"
            raise ResourceError(kind, name, "ttl_seconds", fix)
        if ttl_seconds and ttl_seconds < 1.0:
            raise ResourceError(kind, name, "ttl_seconds", "give one second or more, or 0 for no end")
        aliases = tuple(aliases)
        body = message if isinstance(message, bytes) else message.SerializeToString(deterministic=True)
        ttl = duration_field(6, ttl_seconds)
        version = sha256(ttl + body).hexdigest()[:16]
        any_head = text_field(1, kind.type_url) + field_head(2, len(body))
        sotw_head = field_head(2, len(any_head) + len(body))
        label = text_field(3, name) + text_field(1, version)
        label += b"".join(text_field(4, alias) for alias in aliases) + ttl
        size = len(label) + len(sotw_head) + len(any_head) + len(body)
        delta_head = field_head(2, size) + label
        return cls(
            type=kind,
            name=name,
            version=version,
            references=frozenset(references),
            fingerprint=_fingerprint(name, version),
            delta_field=b"".join((delta_head, sotw_head, any_head, body)),
            _sotw_at=len(delta_head),
            _body_at=len(delta_head) + len(sotw_head) + len(any_head),
            aliases=aliases,
            lazy=lazy,
            ttl_seconds=ttl_seconds,
        )

    def under(self, alias: str) -> "Resource":
        """Return the same resource as who asks for it by an alias has it: in our books it has that name."""
        return replace(
            self, name=alias, alias_of=self.name, fingerprint=_fingerprint(alias, self.version), aliases=()
        )

    @property
    def body(self) -> bytes:
        """The serialised message itself."""
        return self.delta_field[self._body_at :]

    @property
    def sotw_field(self) -> memoryview:
        """The resource as one entry of a SotW response, without copying."""
        return memoryview(self.delta_field)[self._sotw_at :]

    @property
    def key(self) -> Reference:
        return (self.type, self.name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Resource):
            return NotImplemented
        return self is other or (
            self.type is other.type and self.name == other.name and self.version == other.version
        )

    def __hash__(self) -> int:
        return hash((self.type, self.name, self.version))


def _fingerprint(name: str, version: str) -> int:
    return int.from_bytes(sha256(f"{name}\0{version}".encode()).digest()[:8], "big")
