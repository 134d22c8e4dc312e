"""What would become of requests under a candidate ruleset: each is decided twice, and the two are compared.

`ext_proc` hands in what Envoy shows it; status pages and metrics read the counts. Both decisions are the
evaluator's, with the same cells and claims at the same moment, so that nothing but the rules can differ.
`Request -> ClassificationKey -> Decision`, twice.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from envoy.decision import Decision, Lookup
from envoy.edge import IDENTITY_HEADER
from envoy.evaluator import explain_among, standings_at
from envoy.request import Request
from envoy.ruleset import Ruleset, ruleset_at
from envoy.shadow import PEER
from envoy.standing import Standing
from pb.envoy.service.ext_proc.v3 import external_processor_pb2 as ext_proc_pb2
from topology.view import View

SAME: Final = "same"
ELSEWHERE: Final = "elsewhere"
KEPT: Final = 20
"""So many of the last requests that would go elsewhere are kept, for people."""
_STANDING: Final = timedelta(seconds=1)
"""For how long cells are taken to stand as they do: a drain takes them on by itself."""
_ATTRIBUTES: Final = "envoy.filters.http.ext_proc"


@dataclass(frozen=True, slots=True)
class Moved:
    """A request that would go elsewhere. The path is without its query."""

    method: str
    path: str
    live: str
    candidate: str


@dataclass(slots=True)
class ShadowCounts:
    """How requests fared, by the rule that decides now, the one that would, and whether that is elsewhere.

    For one candidate: another one has counts of its own.
    """

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    moved: deque[Moved] = field(default_factory=lambda: deque(maxlen=KEPT))
    _view: View | None = None
    _stood_at: datetime | None = None
    _standings: Mapping[int, Standing] = field(default_factory=dict)

    def look(
        self, request: Request, live: Ruleset, candidate: Ruleset, view: View, now: datetime, lookup: Lookup
    ) -> None:
        """Decide a request twice and count it."""
        if view is not self._view or self._stood_at is None or now - self._stood_at > _STANDING:
            self._view, self._stood_at, self._standings = view, now, standings_at(view, now)
        here, there = (
            explain_among(ruleset_at(ruleset, now), self._standings, request, lookup=lookup).decision
            for ruleset in (live, candidate)
        )
        outcome = SAME if _place(here) == _place(there) else ELSEWHERE
        self.counts[here.rule, there.rule, outcome] += 1
        if outcome == ELSEWHERE:
            path = request.path.partition("?")[0]
            self.moved.append(Moved(request.method, path, _told(here), _told(there)))


def shown_request(message: ext_proc_pb2.ProcessingRequest) -> Request:
    """Read what Envoy shows: headers as they are before any rule, and who the peer is."""
    pairs = [
        (header.key, header.raw_value.decode("latin-1")) for header in message.request_headers.headers.headers
    ]
    pseudo = {name: value for name, value in pairs if name.startswith(":")}
    names = [value for name, value in pairs if name == IDENTITY_HEADER]
    attributes = message.attributes.get(_ATTRIBUTES)
    peer = attributes.fields[PEER].string_value if attributes and PEER in attributes.fields else ""
    return Request(
        method=pseudo.get(":method", ""),
        path=pseudo.get(":path", ""),
        authority=pseudo.get(":authority", ""),
        headers=tuple(pair for pair in pairs if not pair[0].startswith(":")),
        peer=peer,
        identities=tuple(name for value in names for name in value.split(",")),
    )


def _place(decision: Decision) -> tuple[object, ...]:
    """Say where a decision leads, whatever rule made it."""
    cells = decision.candidates if decision.cell is None else decision.cell
    return decision.outcome, cells, decision.cluster, decision.status


def _told(decision: Decision) -> str:
    cells = " or ".join(f"cell-{cell}" for cell, _ in decision.candidates)
    cell = f"cell-{decision.cell}" if decision.cell is not None else ""
    place = decision.cluster or cell or cells or str(decision.status or decision.outcome)
    return f"{decision.rule}: {place}"
