"""What Lua leaves in the filter state for a request, and what Python says it should be."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from envoy.classification import BUCKETS, MAX_VALUES, ClassificationKey, KeyType
from envoy.edge import Lookups
from envoy.extraction import Extracted, NoMatch, Passed, extract
from envoy.lua_program import END_HEADER, FIRST, PASSED_HEADER, PASSED_TEXT, Ends, end_of_key, key_state
from envoy.match_rules import Classify, MatchRule
from envoy.paths import normalise
from envoy.pending import ends_at
from envoy.questions import ASKED, CLAIMS, TOLD, bucket_of, read_questions
from envoy.request import Request, without_dot
from envoy.rules import Ruleset
from envoy.standing import standing
from pb.envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest
from tests.envoy import request_table
from tests.envoy.edge_rig import NOW
from tests.envoy.lua_engine import LuaEngine
from topology.claims.model import Bucket

Lookup = Callable[[Bucket], int | None]


class LuaTwin:
    """A ruleset's program in LuaJIT. With `lookup` owners are asked for, and told at once."""

    def __init__(self, ruleset: Ruleset, lookup: Lookup | None = None) -> None:
        self._rules = tuple(rule for rule in ruleset.matches if not rule.is_native)
        self._reserved = ruleset.reserved
        self._lookup = lookup
        lookups = Lookups(endpoints=(), remembered=64) if lookup else None
        cells = request_table.view().cells.values()
        self._ends = ends_at({cell.id: standing(cell, NOW) for cell in cells})
        self._engine = LuaEngine(self._rules, ruleset.reserved, lookups, self._ends)
        self.asked = 0

    def said(self, request: Request) -> dict[str, str]:
        """Run Lua, and once more with what it asked for."""
        path = normalise(request.path)
        assert path is not None, "Envoy answers before Lua is asked"
        host = without_dot(request.authority)  # as Envoy has it before Lua
        pseudo = ((":method", request.method), (":path", path), (":authority", host))
        stream = self._engine.stream((*pseudo, *request.headers))
        self._engine.decide(stream.handle, "v1")
        asked = stream.metadata.get(ASKED)
        if asked is not None:
            self.asked += 1
            assert asked["version"] == "v1"
            stream.metadata[TOLD] = {"owners": self._told(asked["claims"])}
            self._engine.decide_again(stream.handle, asked["claims"], "")
        assert stream.cleared == (1 if asked is None else 2)
        found = {name: said for name, said in stream.state.items() if said != "over"}
        assert stream.left.pop(PASSED_HEADER, "") == (PASSED_TEXT if found else "")
        end = stream.left.pop(END_HEADER)
        assert not stream.left
        return found if end == "/" else {**found, END_HEADER: end}

    def expected(self, request: Request) -> dict[str, str]:
        """Run Python."""
        state: dict[str, str] = {}
        for rule in self._rules:
            said = self._of_rule(rule, request)
            state.update(said)
            if END_HEADER in said:
                break
        return state

    def _told(self, claims: str) -> str:
        message = ProcessingRequest()
        message.metadata_context.filter_metadata[ASKED][CLAIMS] = claims
        questions = read_questions(message)
        assert questions is not None, claims
        assert self._lookup is not None
        cells = [self._lookup(question.bucket) if question.bucket else None for question in questions]
        return "\n".join(f"{cell or 0} 1 60" for cell in cells)

    def _of_rule(self, rule: MatchRule, request: Request) -> dict[str, str]:
        match extract(rule, request, normalise(request.path) or "", self._reserved):
            case NoMatch():
                return {}
            case Passed(skip, _):
                return {key_state(rule.name): skip.value}
            case Extracted(keys):
                if not isinstance(rule.action, Classify):
                    return {key_state(rule.name): "matched"}
                return self._settled(rule, rule.action, iter(keys))

    def _settled(
        self, rule: MatchRule, action: Classify, keys: Iterator[ClassificationKey]
    ) -> dict[str, str]:
        state = key_state(rule.name)
        outcome, key = "not_found", next(keys, None)
        for at, template in enumerate(action.keys, 1):
            if key is None or key.type is not template.type:
                continue
            text: str | None = FIRST if key.type is KeyType.FIRST_CELL else key.value
            if len(key.values) > MAX_VALUES:
                return {state: "ambiguous"}
            if key.type in BUCKETS and any(key.values):
                if self._lookup is None:
                    return {state: "undecided"}
                buckets = (bucket_of(BUCKETS[key.type], value) for value in key.values)
                owners = {self._lookup(bucket) for bucket in buckets if bucket} - {None}
                if len(owners) > 1:
                    return {state: "ambiguous"}
                text = str(owners.pop()) if owners else None
            elif key.type in BUCKETS:
                text = None
            if text is not None:
                outcome = "unknown"
                if text in _texts(key.type, self._ends):
                    return {END_HEADER: end_of_key(rule.name, at, text)}
            key = next(keys, None)
        return {state: outcome}


def _texts(kind: KeyType, ends: Ends) -> tuple[str, ...]:
    if kind is KeyType.FIRST_CELL:
        return (FIRST,)
    return ends.prefixes if kind is KeyType.SESSION_PREFIX else ends.cells
