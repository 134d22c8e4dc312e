"""What the Delta and SotW streams have in common: several types on one stream, and the order between them.

The shell hands in requests and snapshots and takes out responses (`Snapshot -> Response`): `receive`,
`offer`, `to_send`. It says when to ask again (`due`). It never waits, reads no clock, and writes nothing
itself.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import chain
from typing import ClassVar

from xds.aliases import has_otherwise, replaced
from xds.copies import ABSENT, Copy, has_none_but_rejected, is_unsure
from xds.holds import Holds
from xds.in_flight import InFlight
from xds.ledger import Ledger
from xds.relations import Relations
from xds.requests import over_limit, type_asked_for
from xds.resource import CLUSTER, Absence, Resource, ResourceType
from xds.snapshot import Change, Snapshot
from xds.subscription import Asked, Subscription, Wildcard
from xds.terms import Observer, Terms
from xds.turn import Turn
from xds.wire import ProtocolError, Response, Status


class Stream(ABC):
    """One client's stream, sans I/O. With `only`, it is a stream of that type alone."""

    on_demand: ClassVar[bool]
    """Whether clients can name what they need beside a wildcard, which then leaves out what is lazy."""

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
        self.snapshot = snapshot
        self._terms = terms
        self._holds = holds
        self._observer = observer
        self._node_id = node_id
        self._only = only
        self._steps = {step.type: step for step in terms.order}
        self._by_url = {step.type.type_url: step.type for step in terms.order}
        # An Envoy answers for clusters when they are warm, and asks for them first unless some are not.
        left = terms.client_is_envoy and (CLUSTER in holds.lost or CLUSTER in holds.distrusted)
        self._relations = Relations(terms.removal_grace_seconds, only is None, left)

    @property
    def ledgers(self) -> dict[ResourceType, Ledger]:
        return self._relations.ledgers

    def offer(self, snapshot: Snapshot, change: Change) -> None:
        """Take over the next snapshot. The latest wins: what was not sent yet is sent as it is now, once."""
        old, self.snapshot = self.snapshot, snapshot
        for kind, names in change.items():
            ledger = self.ledgers.get(kind)
            if ledger is not None:
                self._reopen(ledger, names.names, old)

    def to_send(self, now: float) -> list[Response]:
        """Take what is to be written at `now` (seconds), in order, at most one response of each type."""
        self._holds.tick(now)
        self._relations.tick(now)
        responses = []
        again = True
        while again:
            again = False
            for ledger in self._relations.ledgers.values():
                if ledger.has_news:
                    open_names = len(ledger.behind)
                    response = self._speak(ledger, now)
                    if response is not None:
                        responses.append(response)
                    # What was closed without a word may be what others have waited for.
                    again = again or (response is None and len(ledger.behind) < open_names)
        return responses

    @property
    def has_news(self) -> bool:
        """Tell whether `to_send` may have something to say. False is sure, and asks little."""
        # Asked with each request and offer: a loop costs half of what `any` does.
        for ledger in self._relations.ledgers.values():  # noqa: SIM110
            if ledger.has_news:
                return True
        return False

    def due(self) -> float | None:
        """Tell when `to_send` has something to say again, though nothing else happens until then."""
        grace, retry = self._relations.due(), self._holds.due()
        if grace is None or retry is None:
            return retry if grace is None else grace
        return min(grace, retry)

    def close(self) -> None:
        """Take leave: remember for the node's next stream what was left unanswered on this one."""
        for ledger in self.ledgers.values():
            ledger.lost()

    @property
    def settled(self) -> bool:
        """Tell whether the client has acknowledged all of the snapshot that it asked for and can use."""
        for ledger in self._relations.ledgers.values():  # noqa: SIM110
            if not ledger.settled:
                return False
        return True

    @property
    def subscribed(self) -> bool:
        return bool(self.ledgers)

    # --- what the variants add

    @abstractmethod
    def _speak(self, ledger: Ledger, now: float) -> Response | None:
        """Compose and book what this type has to say, if anything."""

    @abstractmethod
    def _says_absent(self, kind: ResourceType) -> Absence:
        """Tell how to answer for a name that was asked for and does not exist."""

    @abstractmethod
    def _says_removed(self, kind: ResourceType) -> Absence:
        """Tell how to say that a resource went away."""

    def _reopen(self, ledger: Ledger, names: Sequence[str], old: Snapshot) -> None:
        ledger.open(ledger.subscription.among(names), old)

    # --- requests

    def _ledger_of(self, type_url: str, node_id: str | None) -> tuple[Ledger, bool] | ProtocolError | None:
        """Find the book of a request, and whether it was opened by it. None: nothing that we know of."""
        if node_id is not None and node_id != self._node_id:
            return ProtocolError(Status.INVALID_ARGUMENT, "the node changed its id in the middle of a stream")
        kind = type_asked_for(type_url, self._only, self._by_url)
        if kind is None:
            self._observer.unknown_type(type_url)
        if not isinstance(kind, ResourceType):
            return kind
        ledger = self.ledgers.get(kind)
        if ledger is not None:
            return ledger, False
        ledger = Ledger(self._steps[kind], Subscription(kind), self._holds, self.on_demand and kind.on_demand)
        ledgers = {**self.ledgers, kind: ledger}
        self._relations.ledgers = {kind: ledgers[kind] for kind in self._steps if kind in ledgers}
        return ledger, True

    def _answered(self, ledger: Ledger, nonce: str, error: str | None) -> None:
        """Take note of an ACK or a NACK of the response in flight. Only `error` says which of the two."""
        flight = ledger.in_flight
        if flight is None or flight.response.nonce != nonce:
            return
        if error is None:
            ledger.acknowledged(self.snapshot)
            self._observer.acknowledged(flight.response)
            return
        held = ledger.rejected(self.snapshot, error)
        self._observer.rejected(flight.response, held, error)

    def _asked(self, ledger: Ledger, asked: Asked, first: bool) -> ProtocolError | None:
        subscription = ledger.subscription
        if first or asked.added or asked.dropped or asked.wildcard is not Wildcard.UNTOUCHED:
            self._observer.subscribed(ledger.type, len(subscription.names), subscription.wildcard)
        return over_limit(subscription, asked, self._terms)

    # --- responses

    def _turn(self, ledger: Ledger, now: float) -> Turn:
        """Collect what may be said now of all open names, and close those of which nothing is to be said."""
        relations = self._relations
        is_open = relations.gate_is_open(ledger, self.snapshot)
        turn = Turn(ledger, is_open, relations.lacking(ledger, self.snapshot) if is_open else ())
        resources = ledger.view(self.snapshot)
        is_plain = turn.has_all_to_say and self._holds.idle
        if is_plain and (opening := self._terms.openings.find(ledger.type, resources, ledger.behind)):
            turn.take(opening)
            return turn
        behind = dict(ledger.behind) if is_plain else None
        search = ledger.search(self.snapshot)
        tried: list[Resource] = []
        for name in chain(ledger.behind, [name for name in ledger.forced if name not in ledger.behind]):
            wanted = resources.get(name)
            has = ledger.behind.get(name, wanted or ABSENT)
            if search is not None and not search.concerns(wanted) and not is_unsure(has):
                # Whatever else is new waits, or it would be among the suspects.
                continue
            given = self._holds.effective(wanted)
            if given is wanted and wanted is not None and self._holds.is_tried(wanted):
                tried.append(wanted)
            elif isinstance(given, Resource) and (
                given is wanted or relations.stands(ledger, given, self.snapshot)
            ):
                turn.give(given, has, is_stand_in=given is not wanted)
                if given.alias_of and given.name in turn.sent:
                    turn.also_remove(replaced(ledger, given, has, self.snapshot))
            elif wanted is not None:
                self._withhold(turn, name, has)
            else:
                self._take_away(turn, name, has, now)
        for one in tried[:1] if not turn.sent else ():
            turn.give(one, ledger.behind.get(one.name, one))
            if one.name in turn.sent:
                self._holds.try_on(one)
        turn.close()
        if behind is not None and behind.keys() == turn.sent.keys() and len(turn.changed) == len(behind):
            self._terms.openings.keep(ledger.type, turn.opening_of(resources, behind))
        return turn

    def _take_away(self, turn: Turn, name: str, has: Copy, now: float) -> None:
        """Answer for a name that does not exist."""
        ledger = turn.ledger
        if has is ABSENT:
            # Asked for and not there; or gone again before the client ever heard of it.
            asked = name in ledger.forced
            if not (asked and turn.say_nothing_there(name, self._says_absent(ledger.type))):
                turn.done(name)
        elif self._removable(ledger, name, has, now) and (
            has_otherwise(ledger, has, self.snapshot)
            or not turn.say_nothing_there(name, self._says_removed(ledger.type))
        ):
            ledger.linger(name, has)
            turn.done(name)

    def _withhold(self, turn: Turn, name: str, has: Copy) -> None:
        """Answer for a name of which nothing may be sent. What the client has, it keeps."""
        ledger = turn.ledger
        asked = name in ledger.forced and name in ledger.subscription.names and has_none_but_rejected(has)
        if not (asked and turn.say_nothing_there(name, self._says_absent(turn.ledger.type))):
            turn.keep_silent(name)

    def _removable(self, ledger: Ledger, name: str, _has: Copy, now: float) -> bool:
        """Tell whether a name that is gone may be removed at the client."""
        if ledger.on_demand and name in self.snapshot.of_type(ledger.type):
            # It has become lazy: whoever needs it asks for it.
            return True
        return self._relations.removable(ledger, name, now)

    def _book(self, ledger: Ledger, flight: InFlight) -> Response:
        """Note that a response leaves, and make the children of what it changes follow."""
        ledger.sent(flight)
        self._observer.sent(flight.response)
        self._relations.follow(flight.children, self.snapshot)
        return flight.response
