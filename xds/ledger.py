"""The book of one type on one stream: what was asked for, and where the client differs from the snapshot.

Streams write it on each request, offer and response (`Snapshot -> Response`). Only differences are kept, so
a client that is in sync costs nothing, and a push costs what it changes. It never looks at other types;
`stream` does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from xds.copies import ABSENT, Copy, either, is_unsure, may_name
from xds.holds import WITHHELD, Effective, Holds
from xds.in_flight import InFlight
from xds.order import Step
from xds.resource import Reference, Resource, ResourceType
from xds.search import Search
from xds.snapshot import Snapshot
from xds.subscription import Asked, Subscription, Wildcard
from xds.wire import Response


@dataclass(slots=True, eq=False)
class Ledger:
    """One type on one stream."""

    step: Step
    subscription: Subscription
    holds: Holds
    on_demand: bool = False
    """Whether a wildcard leaves out what is lazy."""
    behind: dict[str, Copy] = field(default_factory=dict)
    """What the client has, by name, where that is not (known to be) what the snapshot says."""
    forced: set[str] = field(default_factory=set)
    """Names to be answered though nothing changed: asked for again, or child of a changed parent."""
    greet: bool = False
    """An answer is due even if it holds nothing."""
    leaving: dict[str, float] = field(default_factory=dict)
    """When the names that nobody names any more may be removed."""
    lingering: dict[str, Resource] = field(default_factory=dict)
    """Removed, yet used by the client until it unsubscribes."""
    deferred: set[str] = field(default_factory=set)
    """Names whose removal waits for nothing but what lingers: an Envoy may drain for ten minutes."""
    in_flight: InFlight | None = None
    last: Response | None = None
    """The newest response; its nonce is the one that counts."""

    @property
    def type(self) -> ResourceType:
        return self.step.type

    @property
    def has_news(self) -> bool:
        """Tell whether there may be something to say now: not while an answer is awaited."""
        return self.in_flight is None and bool(self.behind or self.forced or self.greet)

    @property
    def settled(self) -> bool:
        """Tell whether the client has acknowledged all of the snapshot that it asked for and can use."""
        waits = self.in_flight is not None or self.forced or self.greet
        return not waits and (not self.behind or self.behind.keys() <= self.deferred)

    def view(self, snapshot: Snapshot) -> Mapping[str, Resource]:
        """All of a snapshot's resources of this type that exist for this client."""
        if self.on_demand and self.subscription.wildcard:
            return snapshot.for_wildcard(self.type, self.subscription.names)
        return snapshot.of_type(self.type)

    def effective(self, snapshot: Snapshot, name: str) -> Effective:
        """Return what may be given to the client under this name."""
        return self.holds.effective(self.view(snapshot).get(name))

    def note(self, asked: Asked, snapshot: Snapshot) -> None:
        """Open what a later request asked for and close what it dropped.

        Rules 30 and 42: a name that is asked for is answered, whatever the client is believed to have.
        """
        resources = self.view(snapshot)
        if asked.wildcard is Wildcard.ADDED:
            known = self.subscription.names - asked.added
            for name in resources:
                if name not in known:
                    self.behind.setdefault(name, ABSENT)
            self.forced |= known
        elif asked.wildcard is Wildcard.AGAIN:
            self.forced.update(resources)
        elif asked.wildcard is Wildcard.DROPPED:
            open_names = (*self.behind, *self.forced, *self.lingering)
            self.forget([name for name in open_names if name not in self.subscription])
        # What is lazy no wildcard has brought, and who asks for it again may have dropped it.
        lazy = (name for name in asked.again if self.on_demand and name in resources and resources[name].lazy)
        for name in (*asked.added, *lazy):
            if name in resources:
                self.behind.setdefault(name, ABSENT)
        self.forced |= asked.added | asked.again
        self.forget(asked.dropped)

    def forget(self, names: Iterable[str]) -> None:
        """Close names that the client no longer wants to hear of."""
        for name in names:
            self.behind.pop(name, None)
            self.forced.discard(name)
            self.leaving.pop(name, None)
            self.lingering.pop(name, None)
            self.deferred.discard(name)
        self._trust_again()

    def open(self, names: Iterable[str], old: Snapshot) -> None:
        """Note that these names changed. A client that was not behind has what the old snapshot says."""
        resources = self.view(old)
        for name in names:
            if name not in self.behind:
                self.behind[name] = resources.get(name, ABSENT)
            self.leaving.pop(name, None)
            self.deferred.discard(name)

    def follow(self, name: str, snapshot: Snapshot) -> None:
        """Answer for this name again, if the client asked for it, for it starts to wait for it anew."""
        if name in self.subscription and name in self.view(snapshot):
            self.forced.add(name)

    def linger(self, name: str, has: Copy | None) -> None:
        """Note that the client goes on using a resource that was removed."""
        if self.type.kept_when_removed and isinstance(has, Resource):
            self.lingering[name] = has

    def sent(self, flight: InFlight) -> None:
        """Note a response that leaves."""
        self.in_flight = flight
        self.last = flight.response
        self.greet = False
        self.forced.difference_update(flight.sent)
        if self.leaving:
            for name in flight.sent:
                self.leaving.pop(name, None)

    def acknowledged(self, snapshot: Snapshot) -> None:
        """Commit what is in flight: the client has it now."""
        flight = self._landed()
        if self.holds.accepted(self.type, flight.listed):
            self._restore(snapshot)
        resources = self.view(snapshot)
        if flight.whole is resources and self.behind.keys() == flight.sent.keys():
            # All that was open was sent as it still is.
            self.behind.clear()
            for name in flight.sent if self.lingering else ():
                self.lingering.pop(name, None)
            self._trust_again()
            return
        for name, sent in flight.sent.items():
            if name not in self.subscription:
                continue
            had = self.behind.pop(name, None)
            wanted = resources.get(name)
            if sent is None:
                if wanted is not None:
                    self.behind[name] = ABSENT
                self.linger(name, had)
                continue
            if wanted is None or wanted.version != sent.version:
                self.behind[name] = sent
            self.lingering.pop(name, None)
        self._trust_again()

    def rejected(self, snapshot: Snapshot, message: str) -> tuple[str, ...]:
        """Find who is to blame, open everything else, and return what is held for it.

        Whom the message names, the client keeps its old copies of. Of the rest it may have taken over some,
        and what it would tell on reconnect is false until all is sent again.
        """
        flight = self._landed()
        no = flight.refused(message, self.behind)
        names = frozenset(one.name for one in no.blamed)
        resources = self.view(snapshot)
        wanted = {one.name: resources.get(one.name) for one in no.news}
        stands = all(one in (wanted[one.name], self.holds.effective(wanted[one.name])) for one in no.news)
        # Where some of it has changed since, that may have been the culprit: the rest gets another chance.
        suspects = no.news if stands or len(no.news) == 1 else ()
        held = {one.name for one in self.holds.blame(self.type, no.blamed, suspects, no.good, message)}
        if (search := self.holds.search(self.type)) is not None:
            search.basis = search.basis or wanted
        for name, sent in flight.sent.items():
            if no.removes_only and sent is None:
                # Nothing but removals, and rejected: to send them again would be to send the same bytes.
                self.behind.pop(name, None)
            elif name in self.subscription:
                had = no.had[name]
                self.behind[name] = had if name in names else either(had, sent or ABSENT)
        self.holds.distrust(self.type, flight.sent.keys() - names)
        if no.news or no.blamed or no.removes_only:
            # Otherwise it rejects what it had accepted, and to send that again would lead nowhere.
            self._restore(snapshot, kept=names & held)
        self._trust_again()
        return tuple(name for name in flight.sent if name in held)

    def search(self, snapshot: Snapshot) -> Search | None:
        """Return the search that is under way, ending it where what it searches has changed or was found."""
        if (search := self.holds.search(self.type)) is None:
            return None
        wants = self.subscription.__contains__
        if search.stands(wants, self.view(snapshot)) and not self.holds.has_found_elsewhere(search):
            return search
        self.holds.call_off(self.type)
        self._restore(snapshot)
        return None

    def _restore(self, snapshot: Snapshot, kept: frozenset[str] = frozenset()) -> None:
        """Send again all that may be sent, once nobody is searched for any more."""
        if self.holds.search(self.type) is None:
            scope = [name for name in self.scope(snapshot) if name not in kept]
            self.forced.update(name for name in scope if self.effective(snapshot, name) is not WITHHELD)

    def lost(self) -> None:
        """Note that the stream ended, and what the client left unanswered."""
        unsure = {name for name, has in self.behind.items() if is_unsure(has)}
        unsure.update(self.in_flight.sent if self.in_flight is not None else ())
        if unsure:
            self.holds.lost.setdefault(self.type, set()).update(unsure)

    def _trust_again(self) -> None:
        """Believe the client's versions once nothing of the type is in doubt any more."""
        in_doubt = self.holds.distrusted
        if self.type not in in_doubt or self.forced or self.greet:
            return
        if not any(map(is_unsure, self.behind.values())):
            del in_doubt[self.type]

    def _landed(self) -> InFlight:
        assert self.in_flight is not None, "only a response in flight is answered"
        flight, self.in_flight = self.in_flight, None
        return flight

    def scope(self, snapshot: Snapshot) -> Iterable[str]:
        """List the existing names that the client asked for."""
        resources = self.view(snapshot)
        if self.subscription.wildcard:
            return resources
        return [name for name in self.subscription.names if name in resources]

    def may_name(self, key: Reference) -> bool:
        """Tell whether anything of this type names the given resource, as far as the client may have it."""
        if any(may_name(has, key) for name, has in self.behind.items() if name not in self.deferred):
            return True
        return self.in_flight is not None and any(
            sent is not None and may_name(sent, key) for sent in self.in_flight.sent.values()
        )

    def lingers_on(self, key: Reference) -> bool:
        """Tell whether a resource that is gone or has to go, but is still in use, names the given one."""
        kept = (*self.lingering.values(), *(self.behind[name] for name in self.deferred))
        return any(may_name(one, key) for one in kept)
