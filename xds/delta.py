"""A stream of the Delta variant: the client says what it adds to its subscription, the server what changed.

The shell hands in requests and takes out responses (`Snapshot -> Response`); all that both variants share
is in `stream`. It never waits, reads no clock, and writes nothing itself.
https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#incremental-xds
"""

from collections.abc import Iterable, Mapping
from itertools import chain

from xds.copies import ABSENT, OTHER, UNKNOWN
from xds.holds import Holds
from xds.ledger import Ledger
from xds.resource import ROUTE, Absence, Resource, ResourceType, empty
from xds.snapshot import Snapshot
from xds.stream import Stream
from xds.subscription import WILDCARD
from xds.terms import Observer, Terms
from xds.wire import DeltaRequest, ProtocolError, Response


class DeltaStream(Stream):
    """One client's Delta stream, of all types or of one."""

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
        self._waiting_routes: set[str] = set()

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
        asked = ledger.subscription.add_and_drop(request.subscribe, request.unsubscribe)
        if first:
            self._connect(ledger, request)
            if ledger.type.has_aliases:
                self._free_hosts(self.snapshot.of_type(ROUTE))
        else:
            ledger.note(asked, self.snapshot)
        return self._asked(ledger, asked, first)

    def _free_hosts(self, routes: Iterable[str]) -> None:
        """Tell routes that fetch their virtual hosts that there is an answer, whatever was asked for.

        Each makes its listener wait for one. It takes the removal of any name of its own for it (Envoy 1.40),
        but no empty response, and no other name.
        """
        hosts = next((one for one in self.ledgers.values() if one.type.has_aliases), None)
        if hosts is not None:
            self._waiting_routes.update(routes)
            hosts.greet = hosts.greet or bool(self._waiting_routes)

    def _connect(self, ledger: Ledger, request: DeltaRequest) -> None:
        """Open what the client lacks, by what it says it has.

        That map tells what the client holds, not what it wants: names out of its scope are none of our
        business.
        """
        resources, wildcard = self.snapshot.of_type(ledger.type), ledger.subscription.wildcard
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
        self._relations.recall(ledger, self.snapshot)

    def _told(self, kind: ResourceType, name: str, told: Mapping[str, str]) -> str | None:
        """Return the version that the client has under a name, or has of what an alias stands for."""
        wanted = self.snapshot.get(kind, name)
        return told.get(wanted.alias_of if wanted is not None and wanted.alias_of else name)

    def _compare(self, ledger: Ledger, name: str, told: str | None, doubted: set[str] | None) -> None:
        wanted = self.snapshot.get(ledger.type, name)
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
        turn = self._turn(ledger, now)
        if not turn.sent and not (ledger.greet and turn.open):
            return None
        after = ledger.last.sequence if ledger.last else 0
        version = str(self.snapshot.revision)
        if ledger.greet and ledger.type.has_aliases:
            turn.removed += [f"{route}/{WILDCARD}" for route in sorted(self._waiting_routes)]
            self._waiting_routes.clear()
        response = self._terms.composer.delta(ledger.type, version, turn.upserts, turn.removed, after)
        return self._book(ledger, response, turn)

    def _says_absent(self, kind: ResourceType) -> Absence:
        return kind.asked_absent_delta

    def _says_removed(self, kind: ResourceType) -> Absence:
        return kind.removal_delta
