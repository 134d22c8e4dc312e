"""What Lua leaves in the filter state for a request, and what Python says it should be."""

from __future__ import annotations

from envoy.classification import KeyType
from envoy.extraction import Extracted, NoMatch, Passed, extract
from envoy.lua_program import FIRST, key_state
from envoy.match_rules import Classify, MatchRule
from envoy.paths import normalise
from envoy.request import Request
from envoy.rules import Ruleset
from tests.envoy.lua_engine import LuaEngine


class LuaTwin:
    """A ruleset's program in LuaJIT."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._rules = tuple(rule for rule in ruleset.matches if not rule.is_native)
        self._reserved = ruleset.reserved
        self._engine = LuaEngine(self._rules, ruleset.reserved)

    def said(self, request: Request) -> dict[str, str]:
        """Run Lua."""
        path = normalise(request.path)
        assert path is not None, "Envoy answers before Lua is asked"
        pseudo = ((":method", request.method), (":path", path), (":authority", request.authority))
        handle, state = self._engine.handle((*pseudo, *request.headers))
        self._engine.decide(handle)
        assert state.pop("cleared") == "yes"
        assert state.pop("cellplane.keys") == "read"
        return state

    def expected(self, request: Request) -> dict[str, str]:
        """Run Python."""
        state: dict[str, str] = {}
        for rule in self._rules:
            state.update(self._of_rule(rule, request))
        return state

    def _of_rule(self, rule: MatchRule, request: Request) -> dict[str, str]:
        name = key_state(rule.name)
        match extract(rule, request, normalise(request.path) or "", self._reserved):
            case NoMatch():
                return {}
            case Passed(skip, _):
                return {name: skip.value}
            case Extracted(local, claims):
                if not isinstance(rule.action, Classify):
                    return {name: "matched"}
                found = {name: "undecided" if claims else "unknown"}
                made = {key.type: key.value for key in local}
                for at, key in enumerate(rule.action.local, 1):
                    value = FIRST if key.type is KeyType.FIRST_CELL else made.get(key.type, "")
                    if value:
                        found[key_state(rule.name, at)] = value
                return found
