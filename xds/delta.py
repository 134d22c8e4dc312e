"""A stream of the Delta variant: the client says what it adds to its subscription, the server what changed.

The shell hands in requests and takes out responses (`Snapshot -> Response`); all that both variants share
is in `stream`. It never waits, reads no clock, and writes nothing itself.
https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#incremental-xds
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Final

from xds.aliases import strays
from xds.copies import ABSENT, OTHER, UNKNOWN
from xds.heartbeats import Heartbeats
from xds.holds import Holds
from xds.in_flight import InFlight
from xds.ledger import Ledger
from xds.placeholders import bodiless, empty
from xds.requests import refused_name, too_long
from xds.resource import ROUTE, Absence, Resource, ResourceType
from xds.snapshot import Snapshot
from xds.stream import Stream
from xds.subscription import WILDCARD
from xds.terms import Observer, Terms
from xds.wire import DeltaRequest, ProtocolError, Response

MOST_ASIDE: Final = 100
"""Of names that are not remembered so many wait for their answer at most."""


class DeltaStream(Stream):
    """One client's Delta stream, of all types or of one."""

    on_demand = True

    def __init__(
        self,
        snapshot: Snapshot,
        terms: Terms,
        holds: Holds,
        observer: Observer,
        *,
        node_id: str = "",
        only: ResourceType | None = None,
    ) -> None:
        super().__init__(snapshot, terms, holds, observer, node_id=node_id, only=only)
        self._aside: dict[ResourceType, dict[str, Absence]] = {}
        self._beats = Heartbeats()

    def receive(self, request: DeltaRequest) -> ProtocolError | None:
        """Take in a request. What it leads to comes out of `to_send`; an error ends the stream."""
        found = self._ledger_of(request.type_url, request.node.id if request.node else None)
        if found is None or isinstance(found, ProtocolError):
            return found
        ledger, first = found
        if ledger.type is ROUTE and ledger.in_flight and ledger.in_flight.response.nonce == request.nonce:
            self._free_hosts(ledger.in_flight.sent)
        if request.nonce and not first:
            # A stale nonce acknowledges nothing, but the subscriptions that come with it count (rule 18).
            self._answered(ledger, request.nonce, request.error)
        if not (first or request.subscribe or request.unsubscribe):
            return None
        subscribe = self._within_limits(ledger, request, first)
        if isinstance(subscribe, ProtocolError):
            return subscribe
        asked = ledger.subscription.add_and_drop(subscribe, request.unsubscribe)
        if first:
            self._connect(ledger, request)
            if ledger.type.has_aliases:
                self._free_hosts(self.snapshot.of_type(ROUTE))
        else:
            ledger.note(asked, self.snapshot)
        return self._asked(ledger, asked, first)

    def _within_limits(
        self, ledger: Ledger, request: DeltaRequest, first: bool
    ) -> Sequence[str] | ProtocolError:
        """Return the names that may be asked for.

        Names that come on demand are made by whoever sends the client requests: one that is too long, or one
        too many, is said not to be there and not remembered, for nobody shall be able to end a client's
        stream.
        """
        names = request.subscribe
        long = too_long(names, self._terms)
        # Without them a first request could become one for everything.
        if not ledger.type.on_demand or (first and len(long) == len(names)):
            long += too_long(request.initial_versions, self._terms)
            return refused_name(ledger.type, long[0], self._terms) if long else names
        room = self._terms.max_names - len(ledger.subscription.names)
        if not long and len(names) <= room:
            return names
        short = [name for name in names if len(name) <= self._terms.max_name_characters]
        known = [name for name in short if name in ledger.subscription.names]
        fresh = [name for name in short if name not in ledger.subscription.names]
        free = MOST_ASIDE - len(self._aside.get(ledger.type, ()))
        self._say_aside(ledger, (long + fresh[room:])[: max(free, 0)], self._says_absent(ledger.type))
        return known + fresh[:room]

    def _say_aside(self, ledger: Ledger, names: Iterable[str], absence: Absence) -> None:
        """Say with the next response that there is nothing under these names, which are in no book."""
        aside = self._aside.setdefault(ledger.type, {})
        aside.update(dict.fromkeys(names, absence))
        ledger.greet = ledger.greet or bool(aside)

    def _free_hosts(self, routes: Iterable[str]) -> None:
        """Tell routes that fetch their virtual hosts that there is an answer, whatever was asked for.

        Each makes its listener wait for one. It takes the removal of any name of its own for it (Envoy 1.40),
        but no empty response, and no other name.
        """
        hosts = next((one for one in self.ledgers.values() if one.type.has_aliases), None)
        if hosts is not None:
            self._say_aside(hosts, [f"{route}/{WILDCARD}" for route in sorted(routes)], Absence.REMOVED)

    def _connect(self, ledger: Ledger, request: DeltaRequest) -> None:
        """Open what the client lacks, by what it says it has.

        That map tells what the client holds, not what it wants: names out of its scope are none of our
        business.
        """
        resources, wildcard = ledger.view(self.snapshot), ledger.subscription.wildcard
        told = request.initial_versions
        doubted = self._holds.distrusted.get(ledger.type)
        if not told and doubted is None:
            # A fresh client. It waits for an answer to its wildcard, also if there is nothing.
            ledger.greet = wildcard
            names: Iterable[str] = resources if wildcard else ledger.subscription.names & resources.keys()
            ledger.behind = dict.fromkeys(names, ABSENT)
            ledger.forced = set(ledger.subscription.names - resources.keys())
        else:
            everything = chain(resources, told, doubted or ())
            scope = dict.fromkeys(everything if wildcard else (), None) | dict.fromkeys(
                ledger.subscription.names
            )
            for name in scope:
                self._compare(ledger, name, self._told(ledger.type, name, told), doubted)
            self._say_aside(ledger, strays(ledger, told, self.snapshot), Absence.REMOVED)
            self._live_on(ledger)
            if self._relations.finds_warming(ledger):
                ledger.forced.update(ledger.scope(self.snapshot))
        self._relations.recall(ledger, self.snapshot)

    def _live_on(self, ledger: Ledger) -> None:
        """Renew what the client has for a time only: it may be nearly over."""
        names = self.snapshot.expiring(ledger.type)
        resources = ledger.view(self.snapshot) if names else {}
        has = [
            name
            for name in names
            if name in ledger.subscription and name in resources and name not in ledger.behind
        ]
        if has:
            self._beats.told(ledger.type, has)
            ledger.greet = True

    def to_send(self, now: float) -> list[Response]:
        for ledger in self.ledgers.values() if self._beats else ():
            if ledger.in_flight is None and self._beats.ripe(ledger, self.snapshot, now):
                ledger.greet = True
        return super().to_send(now)

    @property
    def has_news(self) -> bool:
        # With every answer it may be known anew when the next heartbeat goes.
        return bool(self._beats) or super().has_news

    def due(self) -> float | None:
        if not self._beats:
            return super().due()
        # What waits for an answer, or for others, is looked at when that has come.
        resting = [one for one in self.ledgers.values() if one.in_flight is None and not one.greet]
        times = (super().due(), self._beats.due(resting))
        return min((at for at in times if at is not None), default=None)

    def _told(self, kind: ResourceType, name: str, told: Mapping[str, str]) -> str | None:
        """Return the version that the client has under a name, or has of what an alias stands for."""
        wanted = self.snapshot.get(kind, name)
        return told.get(wanted.alias_of if wanted is not None and wanted.alias_of else name)

    def _compare(self, ledger: Ledger, name: str, told: str | None, doubted: set[str] | None) -> None:
        wanted = ledger.view(self.snapshot).get(name)
        if doubted is not None:
            # After a NACK its versions are false: all is sent again, and what it may have untold is removed.
            if wanted is not None or told is not None or name in doubted:
                ledger.behind[name] = UNKNOWN
            else:
                ledger.forced.add(name)
        elif told is None:
            if wanted is None:
                ledger.forced.add(name)
            else:
                ledger.behind[name] = ABSENT
        elif wanted is not None:
            if told != wanted.version:
                given = self._holds.effective(wanted)
                is_good = isinstance(given, Resource) and given.version == told
                ledger.behind[name] = given if is_good and isinstance(given, Resource) else OTHER
        elif self._says_absent(ledger.type) is not Absence.EMPTY or told != empty(ledger.type, name).version:
            ledger.behind[name] = OTHER

    def _speak(self, ledger: Ledger, now: float) -> Response | None:
        if (flight := self._said_elsewhere(ledger)) is not None:
            return self._book(ledger, flight)
        turn = self._turn(ledger, now)
        if not turn.sent and not (ledger.greet and turn.open):
            return None
        after = ledger.last.sequence if ledger.last else 0
        version = self.snapshot.version_text(ledger.type)
        for name, absence in self._aside.pop(ledger.type, {}).items() if ledger.greet else ():
            if absence is Absence.BODILESS:
                turn.upserts.append(bodiless(ledger.type, name))
            else:
                turn.removed.append(name)
        if ledger.type.may_expire:
            turn.upserts += self._beats.take(ledger, self.snapshot, now)
            if self.snapshot.expiring(ledger.type):
                self._beats.sent(ledger.type, turn.sent, now)
        response = self._terms.composer.delta(ledger.type, version, turn.upserts, turn.removed, after)
        flight = turn.in_flight(response)
        if turn.opening is not None and response.resources == turn.opening.upserts and not response.removed:
            turn.opening.flight = flight
        return self._book(ledger, flight)

    def _said_elsewhere(self, ledger: Ledger) -> InFlight | None:
        """Find what another stream that lacked the same has just been told: most of a push is this."""
        special = ledger.forced or ledger.leaving or ledger.greet or self._beats or not self._holds.idle
        if special or not self._relations.gate_is_open(ledger, self.snapshot):
            return None
        opening = self._terms.openings.find(ledger.type, ledger.view(self.snapshot), ledger.behind)
        flight = opening.flight if opening is not None else None
        if flight is None or flight.response.version != self.snapshot.version_text(ledger.type):
            return None
        is_fresh = ledger.last is None or flight.response.sequence > ledger.last.sequence
        return flight if is_fresh and not self._relations.lacking(ledger, self.snapshot) else None

    def _says_absent(self, kind: ResourceType) -> Absence:
        return kind.asked_absent_delta if self._terms.client_is_envoy else _plain(kind.asked_absent_delta)

    def _says_removed(self, kind: ResourceType) -> Absence:
        return kind.removal_delta if self._terms.client_is_envoy else _plain(kind.removal_delta)


def _plain(absence: Absence) -> Absence:
    """Return what the protocol says, where ours is for what Envoy does with that."""
    return absence if absence is Absence.BODILESS else Absence.REMOVED
