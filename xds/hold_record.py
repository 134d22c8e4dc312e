"""What is known against one resource: which versions were rejected, by whom, in which words.

Groups keep records, stores persist them and replicas exchange them (`Snapshot -> Response`, on its way back).
Values only; joining two of them is the same whatever the order.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from xds.resource import Reference, Resource

MAX_VERSIONS: Final = 16
MAX_REJECTIONS: Final = 8

Version = tuple[Reference, str]
"""The unit of a rejection: type, name and content version."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """One node's, in its own words."""

    node: str
    envoy: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedVersion:
    """One version of one resource, and who rejected it."""

    rejections: tuple[Rejection, ...] = ()
    held: bool = False
    """Whether no node of the group is sent it any more."""
    alone: bool = False
    """Held on the word of one node, because the group had no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldRecord:
    """All that is known against one resource, to be kept and told to other replicas. Without versions it is
    the end of what was known before.
    """

    key: Reference
    versions: Mapping[str, RejectedVersion] = field(default_factory=dict)
    good: Resource | None = None
    """The last version that a node had before; it stands in for the held ones."""

    @property
    def held(self) -> tuple[str, ...]:
        return tuple(version for version, known in self.versions.items() if known.held)


def united(mine: HoldRecord, theirs: HoldRecord) -> HoldRecord:
    """Join what two replicas know. Whoever was alone with its word is overruled by who has heard it and
    does not hold it.
    """
    versions = dict(mine.versions)
    for version, told in theirs.versions.items():
        was = versions.get(version, RejectedVersion())
        nodes = {one.node: one for one in (*told.rejections, *was.rejections)}
        heard = {one.node for one in was.rejections} <= {one.node for one in told.rejections}
        envoys = Counter(one.envoy for one in nodes.values())
        agreed = max(envoys.values(), default=0) > 1
        held = agreed or told.held or (was.held and not (was.alone and heard))
        versions[version] = RejectedVersion(
            rejections=tuple(sorted(nodes.values(), key=lambda one: one.node))[:MAX_REJECTIONS],
            held=held,
            alone=held and not agreed,
        )
    while len(versions) > MAX_VERSIONS:
        del versions[next(iter(versions))]
    return HoldRecord(key=mine.key, versions=versions, good=theirs.good or mine.good)
