"""A model of Envoy as an xDS client: what it applies, when it answers, what it then asks for.

State machines of tests drive it against a stream without I/O. It applies a rejected response in part, as
Envoy does for clusters and listeners, and acknowledges clusters only when their endpoints have come.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from xds.delta import DeltaStream
from xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, Resource, ResourceType
from xds.sotw import SotwStream
from xds.subscription import WILDCARD
from xds.wire import DeltaRequest, Response, SotwRequest

TYPES = (CLUSTER, ENDPOINT, LISTENER, ROUTE)
CHILD_OF = {CLUSTER: ENDPOINT, LISTENER: ROUTE}


@dataclass
class ModelClient:
    """Follows clusters to their endpoints and listeners to their routes."""

    stream: DeltaStream | SotwStream
    held: dict[ResourceType, dict[str, Resource]] = field(
        default_factory=lambda: {kind: {} for kind in TYPES}
    )
    asked: dict[ResourceType, set[str]] = field(default_factory=dict)
    """Names that the server was told of on this stream."""
    awaited: dict[ResourceType, set[str]] = field(default_factory=lambda: {kind: set() for kind in TYPES})
    """Names that it asked for on a stream that was open already, and had no answer to yet."""
    accepted: dict[ResourceType, str] = field(default_factory=dict)
    wire: deque[Response] = field(default_factory=deque)
    unanswered: dict[ResourceType, tuple[Response, str | None]] = field(default_factory=dict)
    nonces: dict[ResourceType, str] = field(default_factory=dict)
    warming: set[str] = field(default_factory=set)
    told: dict[ResourceType, dict[str, str]] = field(default_factory=lambda: {kind: {} for kind in TYPES})
    """The versions that it would tell on reconnect: those of responses that it accepted."""
    fetched: set[str] = field(default_factory=set)
    """Clusters that it asked for by name, beside all."""
    blamed: dict[ResourceType, set[tuple[ResourceType, str, str]]] = field(default_factory=dict)
    rejected: set[tuple[ResourceType, str, str]] = field(default_factory=set)
    """What the server was told is bad."""

    @property
    def delta(self) -> bool:
        return isinstance(self.stream, DeltaStream)

    def connect(self, stream: DeltaStream | SotwStream) -> None:
        """Open a stream, and ask for everything at once, as Envoy does when it comes back."""
        self.stream = stream
        self.wire.clear()
        self.unanswered.clear()
        self.nonces.clear()
        self.asked.clear()
        for kind in TYPES:
            self.awaited[kind].clear()
            # While a cluster warms, Envoy says nothing of clusters: it asks for them when that has ended.
            if kind is not CLUSTER or not self.warming:
                self._open_wanted(kind)

    def fetch_or_drop(self, name: str) -> None:
        assert isinstance(self.stream, DeltaStream), "in SotW nothing is asked for beside all"
        self.fetched ^= {name}
        if CLUSTER in self.asked:
            asks, drops = ([name], []) if name in self.fetched else ([], [name])
            assert self.stream.receive(DeltaRequest(CLUSTER.type_url, None, asks, drops)) is None

    def _open_wanted(self, kind: ResourceType) -> None:
        names = self.wanted(kind)
        if kind is CLUSTER and self.fetched:
            names = {WILDCARD, *self.fetched}
        if kind in CHILD_OF or names:
            self._open(kind, names)

    def wanted(self, kind: ResourceType) -> set[str]:
        """Names that this client asks for by name; clusters and listeners it wants all."""
        return {
            name
            for parent, child in CHILD_OF.items()
            if child is kind
            for one in self.held[parent].values()
            for reference, name in one.references
            if reference is kind
        }

    def _open(self, kind: ResourceType, names: set[str]) -> None:
        self.asked[kind] = set(names)
        if isinstance(self.stream, DeltaStream):
            problem = self.stream.receive(
                DeltaRequest(kind.type_url, None, sorted(names), (), dict(self.told[kind]))
            )
        else:
            problem = self.stream.receive(
                SotwRequest(kind.type_url, None, sorted(names), self.accepted.get(kind, ""))
            )
        assert problem is None, problem

    def take(self, response: Response, bad: frozenset[str], names_culprit: bool, applies_part: bool) -> None:
        """Read the next response: apply it and leave its answer for later, or find it bad."""
        kind = response.type
        assert kind not in self.unanswered, f"two responses of {kind} are in flight"
        assert kind in self.asked, f"{kind} was never asked for"
        assert response.nonce != self.nonces.get(kind), "a nonce was used twice"
        for one in response.resources:
            key = (kind, one.name, one.version)
            assert key not in self.rejected, f"{key} was rejected, and is sent again"
        self.nonces[kind] = response.nonce
        culprits = [one for one in response.resources if one.version in bad]
        if not culprits:
            self._apply(response, frozenset(), accepted=True)
            self.accepted[kind] = response.version
            self.unanswered[kind] = (response, None)
            return
        has = set(self.held[kind].values())
        if applies_part or kind not in CHILD_OF:
            self._apply(response, frozenset(one.name for one in culprits), accepted=False)
        # Without a name the culprit is searched for, so what was rejected among others comes once more.
        to_blame = culprits if names_culprit or len(response.resources) == 1 else []
        # Who rejects what it has, without a name, blames nobody; and a full SotW response has to list it, or
        # it is deleted.
        self.blamed[kind] = {
            (kind, one.name, one.version)
            for one in to_blame
            if (self.delta and names_culprit) or one not in has
        }
        words = " ".join(f"{one.name}: no good." for one in culprits) if names_culprit else "this is bad"
        self.unanswered[kind] = (response, words)

    def _apply(self, response: Response, but: frozenset[str], accepted: bool) -> None:
        kind, held = response.type, self.held[response.type]
        gone = set(response.removed)
        if not self.delta and kind.full_state:
            gone = held.keys() - {one.name for one in response.resources}
        for name in gone:
            held.pop(name, None)
            if accepted:
                self.told[kind].pop(name, None)
        for one in response.resources:
            if one.name in but or not (kind in CHILD_OF or one.name in self.wanted(kind)):
                # What was not asked for, or not any more, is ignored.
                continue
            before = held.get(one.name)
            held[one.name] = one
            if accepted:
                self.told[kind][one.name] = one.version
            if kind is CLUSTER and (before is None or before.version != one.version):
                self.warming.add(one.name)
            if kind is ENDPOINT:
                self.warming.discard(one.name)
        if kind is ENDPOINT:
            self.warming -= gone
        self.warming &= self.held[CLUSTER].keys()
        self.warmed()
        self.follow(kind)

    def warmed(self) -> None:
        """Ask for clusters at last, where a stream began while one of them warmed."""
        if not self.warming and CLUSTER not in self.asked:
            self._open_wanted(CLUSTER)

    def follow(self, parent: ResourceType) -> None:
        """Ask for the children of what it has now, and drop those of what it has no longer."""
        child = CHILD_OF.get(parent)
        if child is None:
            return
        wanted = self.wanted(child)
        for name in self.held[child].keys() - wanted:
            del self.held[child][name]
            self.told[child].pop(name, None)
        if child not in self.asked:
            if wanted:
                self._open(child, wanted)
            return
        before = self.asked[child]
        if wanted == before:
            return
        if isinstance(self.stream, DeltaStream):
            self._asks(child, wanted)
            request = DeltaRequest(child.type_url, None, sorted(wanted - before), sorted(before - wanted))
            assert self.stream.receive(request) is None
        elif child not in self.unanswered:
            self._ask_sotw(child, None)

    def _ask_sotw(self, kind: ResourceType, error: str | None) -> None:
        assert isinstance(self.stream, SotwStream)
        names = self.wanted(kind) if kind not in CHILD_OF else set()
        self._asks(kind, names)
        request = SotwRequest(
            kind.type_url,
            None,
            sorted(names),
            self.accepted.get(kind, ""),
            self.nonces.get(kind, ""),
            error,
        )
        assert self.stream.receive(request) is None

    def _asks(self, kind: ResourceType, names: set[str]) -> None:
        """Note that an answer is due to each of the names that are new."""
        self.awaited[kind] = (self.awaited[kind] & names) | (names - self.asked[kind])
        self.asked[kind] = names

    def may_answer(self, kind: ResourceType) -> bool:
        """Clusters are acknowledged once they are warm."""
        return kind in self.unanswered and not (kind is CLUSTER and self.warming)

    def answer(self, kind: ResourceType) -> None:
        response, error = self.unanswered.pop(kind)
        if error is not None:
            self.rejected |= self.blamed[kind]
        if isinstance(self.stream, DeltaStream):
            request = DeltaRequest(kind.type_url, None, nonce=response.nonce, error=error)
            assert self.stream.receive(request) is None
        else:
            self._ask_sotw(kind, error)
