"""A stream of the state-of-the-world variant: the client lists all that it wants, under one version per type.

The shell hands in requests and takes out responses (`Snapshot -> Response`); all that both variants share
is in `stream`. It never waits, reads no clock, and writes nothing itself.
https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#basic-protocol-overview
"""

from collections.abc import Iterable, Sequence
from typing import Final

from xds.copies import ABSENT, OTHER, Copy
from xds.holds import Holds
from xds.ledger import Ledger
from xds.resource import CLUSTER, ENDPOINT, Absence, Resource, ResourceType
from xds.snapshot import DIGEST_MASK, Change, Snapshot, digest_of
from xds.stream import Stream
from xds.subscription import NOTHING
from xds.terms import Observer, Terms
from xds.turn import Turn
from xds.wire import ProtocolError, Response, SotwRequest

UNKNOWN_FINGERPRINT: Final = 0x9E3779B97F4A7C15
"""Stands for a copy that we do not know, so that no version that covers one is ever met again."""


class SotwStream(Stream):
    """One client's SotW stream, of all types or of one.

    The version of a response is `revision.digest`; the digest covers all that the client has once it
    accepts, so a reconnecting client that tells it, and asks for the same names, has nothing to be told.
    What is lazy comes with the rest, and lives for ever: this variant can neither ask for it nor renew it.
    """

    on_demand = False

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
        self._rewarmed = False
        self._digests: dict[ResourceType, int] = {}

    def receive(self, request: SotwRequest) -> ProtocolError | None:
        """Take in a request. What it leads to comes out of `to_send`; an error ends the stream."""
        found = self._ledger_of(request.type_url, request.node.id if request.node else None)
        if found is None or isinstance(found, ProtocolError):
            return found
        ledger, first = found
        answers = False
        if request.nonce and not first:
            if ledger.last is None or request.nonce != ledger.last.nonce:
                # A stale nonce: the client has yet to read our newest response, and will then ask again.
                self._misplaced(request)
                return None
            answers = ledger.in_flight is not None
            self._answered(ledger, request.nonce, request.error)
        asked = ledger.subscription.replace(request.names)
        if first:
            self._connect(ledger, request.version)
        elif asked is not NOTHING:
            self._digests.pop(ledger.type, None)
            ledger.note(asked, self.snapshot)
            ledger.greet |= ledger.type.full_state and bool(asked.added or asked.again)
        elif ledger.type is ENDPOINT and request.nonce and not answers and request.error is None:
            self._warm(ledger)
        return self._asked(ledger, asked, first)

    def _misplaced(self, request: SotwRequest) -> None:
        """Take an answer under the wrong type_url for what it answers: its nonce is that of one response
        only.

        Some clients name their first type in each ACK of an aggregated stream; types that come after the
        one that was meant would wait for ever.
        """
        for other in self.ledgers.values():
            self._answered(other, request.nonce, request.error)

    def _warm(self, ledger: Ledger) -> None:
        """Answer a second "ACK" of one response, once per change of clusters.

        A changed cluster warms, and asks for its endpoints again by the same nonce (rule 36).
        """
        if self._rewarmed:
            self._rewarmed = False
            ledger.forced.update(ledger.scope(self.snapshot))

    def offer(self, snapshot: Snapshot, change: Change) -> None:
        super().offer(snapshot, change)
        self._rewarmed = self._rewarmed or CLUSTER in change

    def _reopen(self, ledger: Ledger, names: Sequence[str], old: Snapshot) -> None:
        changed = ledger.subscription.among(names)
        digest = self._digests.get(ledger.type)
        if digest is not None:
            for name in changed:
                digest += _print(self.snapshot.get(ledger.type, name)) - _print(old.get(ledger.type, name))
            self._digests[ledger.type] = digest
        ledger.open(changed, old)

    def _connect(self, ledger: Ledger, told: str) -> None:
        """Open what the client lacks, by the one version it tells: all or nothing."""
        scope = ledger.scope(self.snapshot)
        given = [self._holds.effective(self.snapshot.get(ledger.type, name)) for name in scope]
        has = digest_of(one for one in given if isinstance(one, Resource)) & DIGEST_MASK
        warms = bool(told) and self._relations.finds_warming(ledger)
        trusted = told and ledger.type not in self._holds.distrusted
        if trusted and told.rpartition(".")[2] == f"{has:016x}":
            for name, one in zip(scope, given, strict=True):
                if one is not self.snapshot.get(ledger.type, name):
                    ledger.behind[name] = one if isinstance(one, Resource) else ABSENT
            if warms:
                ledger.forced.update(scope)
        else:
            ledger.behind = dict.fromkeys(scope, OTHER if told else ABSENT)
            ledger.greet = ledger.type.full_state
            if not told:
                ledger.forced = ledger.subscription.names - self.snapshot.of_type(ledger.type).keys()
        self._relations.recall(ledger, self.snapshot)

    def _speak(self, ledger: Ledger, now: float) -> Response | None:
        turn = self._turn(ledger, now)
        if ledger.type.full_state:
            if not turn.open or not (turn.sent or ledger.greet):
                return None
            resources = self._full_state(ledger, turn)
        elif not turn.upserts:
            return None
        else:
            resources = turn.upserts
        after = ledger.last.sequence if ledger.last else 0
        response = self._terms.composer.sotw(ledger.type, self._version(ledger, turn), resources, after)
        return self._book(ledger, turn.in_flight(response))

    def _full_state(self, ledger: Ledger, turn: Turn) -> Iterable[Resource]:
        """List all that the client shall have: what is left out is deleted, so what has to wait stays as it
        is.
        """
        resources = self.snapshot.of_type(ledger.type)
        if turn.opening is not None and len(turn.opening.sent) == len(resources):
            return turn.opening.upserts
        given: dict[str, Resource | None] = {}
        for name, has in ledger.behind.items():
            given[name] = has if isinstance(has, Resource) else None
            if name not in turn.sent and not isinstance(has, Resource):
                # Neither may the new one be sent, nor is the old one at hand: the client is about to lose it.
                ledger.behind[name] = ABSENT
        given |= turn.sent
        differing = {name: one for name, one in given.items() if one is not resources.get(name)}
        if ledger.subscription.wildcard and not differing:
            return resources.values()
        listed = {name: resources[name] for name in ledger.scope(self.snapshot)} | differing
        return [one for one in listed.values() if one is not None]

    def _version(self, ledger: Ledger, turn: Turn) -> str:
        """Name the revision, and cover with a digest what the client has once it accepts this turn."""
        if label := self.snapshot.labels.get(ledger.type):
            return label
        digest = self._digest(ledger)
        if turn.opening is not None:
            return f"{self.snapshot.revision}.{digest & DIGEST_MASK:016x}"
        resources = self.snapshot.of_type(ledger.type)
        for name, has in ledger.behind.items():
            if name not in turn.sent:
                digest += _print(has) - _print(resources.get(name))
        for name, sent in turn.sent.items():
            wanted = resources.get(name)
            if sent is not wanted:
                digest += _print(sent) - _print(wanted)
        return f"{self.snapshot.revision}.{digest & DIGEST_MASK:016x}"

    def _digest(self, ledger: Ledger) -> int:
        if ledger.subscription.wildcard:
            return self.snapshot.digest(ledger.type)
        digest = self._digests.get(ledger.type)
        if digest is None:
            resources = self.snapshot.of_type(ledger.type)
            digest = digest_of(resources[name] for name in ledger.scope(self.snapshot))
            self._digests[ledger.type] = digest
        return digest

    def _removable(self, ledger: Ledger, name: str, _has: Copy, now: float) -> bool:
        if ledger.type.full_state and not isinstance(_has, Resource):
            # It can't be listed any longer, for its bytes are not known.
            return True
        return super()._removable(ledger, name, _has, now)

    def _says_absent(self, kind: ResourceType) -> Absence:
        return Absence.REMOVED if kind.full_state else kind.asked_absent_sotw

    def _says_removed(self, kind: ResourceType) -> Absence:
        return Absence.REMOVED if kind.full_state else kind.removal_sotw


def _print(has: Copy | None) -> int:
    if isinstance(has, Resource):
        return has.fingerprint
    return 0 if has is None or has is ABSENT else UNKNOWN_FINGERPRINT
