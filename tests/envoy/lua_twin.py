"""What Lua leaves in the filter state for a request, and what Python says it should be."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from envoy.classification import BUCKETS, MAX_VALUES, ClassificationKey, KeyType
from envoy.edge import Lookups
from envoy.extraction import Extracted, NoMatch, Passed, extract
from envoy.lua_program import FIRST, key_state
from envoy.match_rules import Classify, MatchRule
from envoy.paths import normalise
from envoy.questions import ASKED, CLAIMS, TOLD, bucket_of, read_questions
from envoy.request import Request
from envoy.rules import Ruleset
from pb.envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest
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
        self._engine = LuaEngine(self._rules, ruleset.reserved, lookups)
        self.asked = 0

    def said(self, request: Request) -> dict[str, str]:
        """Run Lua, and once more with what it asked for."""
        path = normalise(request.path)
        assert path is not None, "Envoy answers before Lua is asked"
        pseudo = ((":method", request.method), (":path", path), (":authority", request.authority))
        stream = self._engine.stream((*pseudo, *request.headers))
        self._engine.decide(stream.handle, "v1")
        asked = stream.metadata.get(ASKED)
        if asked is not None:
            self.asked += 1
            assert asked["version"] == "v1"
            stream.metadata[TOLD] = {"owners": self._told(asked["claims"])}
            self._engine.decide_again(stream.handle, asked["claims"], "")
        assert stream.cleared == (1 if asked is None else 2)
        assert stream.state.pop("cellplane.keys") == "read"
        return stream.state

    def expected(self, request: Request) -> dict[str, str]:
        """Run Python."""
        state: dict[str, str] = {}
        for rule in self._rules:
            state.update(self._of_rule(rule, request))
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
        found: dict[str, str] = {}
        outcome, key = "not_found", next(keys, None)
        for at, template in enumerate(action.keys, 1):
            if key is None or key.type is not template.type:
                continue
            text: str | None = FIRST if key.type is KeyType.FIRST_CELL else key.value
            if len(key.values) > MAX_VALUES:
                return {**found, key_state(rule.name): "ambiguous"}
            if key.type in BUCKETS and any(key.values):
                if self._lookup is None:
                    return {**found, key_state(rule.name): "undecided"}
                buckets = (bucket_of(BUCKETS[key.type], value) for value in key.values)
                owners = {self._lookup(bucket) for bucket in buckets if bucket} - {None}
                if len(owners) > 1:
                    return {**found, key_state(rule.name): "ambiguous"}
                text = str(owners.pop()) if owners else None
            elif key.type in BUCKETS:
                text = None
            if text is not None:
                outcome = "unknown"
                found |= {key_state(rule.name, at): text} if text else {}
            key = next(keys, None)
        return {**found, key_state(rule.name): outcome}
