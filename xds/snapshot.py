"""A Snapshot: all resources of one node group at one revision; its reference check; what changed between two.

A translator hands in resources, the cache hands snapshot and change to the streams (`View -> Snapshot ->
Response`). A snapshot never changes, and where nothing changed the next one keeps the same resource object.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from xds.errors import DuplicateResourceError
from xds.resource import Reference, Resource, ResourceType

DIGEST_MASK: Final = (1 << 64) - 1
NO_LABELS: Final[Mapping[ResourceType, str]] = MappingProxyType({})
NO_RESOURCES: Final[Mapping[str, Resource]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Dangling:
    """A reference to what the snapshot lacks: a route to no cluster, a listener without its routes."""

    source: Reference
    missing: Reference

    def __str__(self) -> str:
        (source_type, source), (missing_type, missing) = self.source, self.missing
        return f"{source_type.name} {source!r} names {missing_type.name} {missing!r}, which is not there"


@dataclass(frozen=True, slots=True)
class TypeChange:
    """Names of one type that came or changed, and names that went."""

    upserted: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return self.upserted + self.removed


Change = Mapping[ResourceType, TypeChange]
"""By type, and only types in which something changed."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a node group shall have. Clients are shown the revision (the topology's) as the version of all."""

    revision: int
    resources: Mapping[ResourceType, Mapping[str, Resource]]
    labels: Mapping[ResourceType, str] = field(default_factory=lambda: NO_LABELS)
    """Names for the versions of whole types, for whoever has names of their own. Clients are shown them
    instead of the revision; a SotW client that reconnects with one is told everything again, as it proves
    nothing."""
    tag: str = ""
    """What its maker calls it; told of whoever has all of it. No client is shown it."""
    _digests: dict[ResourceType, int] = field(default_factory=dict, repr=False, compare=False)
    _eager: dict[ResourceType, Mapping[str, Resource]] = field(
        default_factory=dict, repr=False, compare=False
    )
    _expiring: dict[ResourceType, frozenset[str]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        revision: int,
        resources: Iterable[Resource],
        labels: Mapping[ResourceType, str] = NO_LABELS,
    ) -> "Snapshot":
        """Collect resources by type and name. Raises DuplicateResourceError where two share both."""
        by_type: dict[ResourceType, dict[str, Resource]] = {}
        for resource in resources:
            names = by_type.setdefault(resource.type, {})
            for one in (resource, *map(resource.under, resource.aliases)):
                if one.name in names:
                    raise DuplicateResourceError(one.type, one.name)
                names[one.name] = one
        return cls(revision, by_type, labels)

    def of_type(self, kind: ResourceType) -> Mapping[str, Resource]:
        """All resources of a type by name; the same mapping object each time, while the snapshot lives."""
        return self.resources.get(kind, NO_RESOURCES)

    def get(self, kind: ResourceType, name: str) -> Resource | None:
        return self.of_type(kind).get(name)

    def for_wildcard(self, kind: ResourceType, named: Collection[str]) -> Mapping[str, Resource]:
        """All of a type that a client shall have that asked for everything: what is lazy only if named too.

        The same object for all clients that named nothing, while the snapshot lives.
        """
        every, eager = self.of_type(kind), self._eager.get(kind)
        if eager is None:
            lazy = any(resource.lazy for resource in every.values())
            eager = {name: one for name, one in every.items() if not one.lazy} if lazy else every
            self._eager[kind] = eager
        return eager if eager is every or not named else _Named(every, eager, named)

    def expiring(self, kind: ResourceType) -> frozenset[str]:
        """Names of a type that have a time to live."""
        found = self._expiring.get(kind)
        if found is None:
            names = self.of_type(kind).items() if kind.may_expire else ()
            found = self._expiring[kind] = frozenset(name for name, one in names if one.ttl_seconds)
        return found

    def version_text(self, kind: ResourceType) -> str:
        """Return what clients are shown as the version of all resources of a type."""
        return self.labels.get(kind) or str(self.revision)

    def digest(self, kind: ResourceType) -> int:
        """Sum the fingerprints of all resources of a type: equal sets have equal digests, on every
        replica.
        """
        digest = self._digests.get(kind)
        if digest is None:
            digest = digest_of(self.of_type(kind).values())
            self._digests[kind] = digest
        return digest

    def problems(self) -> tuple[Dangling, ...]:
        """Check that all that resources reference is here too. The cache refuses a snapshot with problems."""
        return self._dangling(resource for names in self.resources.values() for resource in names.values())

    def problems_since(self, change: "Change") -> tuple[Dangling, ...]:
        """Check what a change from a snapshot without problems may have broken; all, where something went."""
        if any(names.removed for names in change.values()):
            return self.problems()
        return self._dangling(
            self.of_type(kind)[name] for kind, names in change.items() for name in names.upserted
        )

    def _dangling(self, resources: Iterable[Resource]) -> tuple[Dangling, ...]:
        return tuple(
            Dangling(resource.key, reference)
            for resource in resources
            for reference in sorted(resource.references, key=_by_type_and_name)
            if reference[1] not in self.of_type(reference[0])
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Named(Mapping[str, Resource]):
    """All that is eager, and what is lazy and named. Costs nothing to make."""

    every: Mapping[str, Resource]
    eager: Mapping[str, Resource]
    named: Collection[str]

    def __getitem__(self, name: str) -> Resource:
        found = self.every[name]
        if found.lazy and name not in self.named:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        yield from self.eager
        for name in self.named:
            if name in self.every and name not in self.eager:
                yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)


def diff(old: Snapshot, new: Snapshot) -> Change:
    """Find what a client that has `old` needs to reach `new`. Identical objects cost one comparison each."""
    change: dict[ResourceType, TypeChange] = {}
    for kind in dict.fromkeys((*old.resources, *new.resources)):
        before, after = old.of_type(kind), new.of_type(kind)
        if before is after:
            continue
        upserted = tuple(
            name
            for name, resource in after.items()
            if (known := before.get(name)) is not resource
            and (known is None or known.version != resource.version or known.lazy is not resource.lazy)
        )
        added = sum(name not in before for name in upserted)
        all_stayed = len(before) + added == len(after)
        removed = () if all_stayed else tuple(name for name in before if name not in after)
        if upserted or removed:
            change[kind] = TypeChange(upserted, removed)
    return change


def digest_of(resources: Iterable[Resource]) -> int:
    """Sum the fingerprints of a set of resources."""
    return sum(resource.fingerprint for resource in resources) & DIGEST_MASK


def _by_type_and_name(reference: Reference) -> tuple[str, str]:
    return (reference[0].name, reference[1])
