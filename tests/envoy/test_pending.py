"""The entry that has requests read; that Envoy does so, `tests/integration/test_edge_rules.py` proves."""

from __future__ import annotations

from lupa.luajit21 import LuaRuntime  # type: ignore[import-untyped]

from envoy.moved import SCRIPT
from envoy.pending import LOADER, LUA_FILTER, lua_filter, pending
from envoy.rules import DEFAULT_RULESET
from pb.envoy.config.route.v3.route_components_pb2 import Route
from pb.envoy.extensions.filters.http.lua.v3.lua_pb2 import LuaPerRoute
from tests.envoy import match_table
from tests.envoy.rule_documents import parsed, rule


def context() -> dict[str, str]:
    (entry,) = pending(match_table.ruleset(), None, {})
    route, per_route = Route(), LuaPerRoute()
    assert entry.on_match.action.typed_config.Unpack(route)
    assert route.direct_response.status == 503, "what stands if Lua fails"
    assert route.typed_per_filter_config[LUA_FILTER].Unpack(per_route)
    return {key: str(value) for key, value in per_route.filter_context.items()}


def test_without_rules_for_lua_nothing_is_pending() -> None:
    assert pending(DEFAULT_RULESET, None, {}) == ()
    assert pending(parsed(rule()), None, {}) == ()


def test_the_same_rules_are_the_same_version() -> None:
    assert context() == context()
    assert len(context()["version"]) == 16


def test_the_listeners_part_knows_no_rule_and_takes_each_version_once() -> None:
    assert lua_filter().source_codes[SCRIPT].inline_string == LOADER
    lua = LuaRuntime(encoding="latin-1")
    lua.execute(LOADER)
    lua.execute(
        "loads, seen = 0, {} loadstring_before = loadstring "
        "function loadstring(...) loads = loads + 1 return loadstring_before(...) end"
    )
    ask = lua.eval("""function(version, source)
      local function holding(fields)
        return function() return { get = function(_, name) return fields[name] end } end
      end
      local context, metadata = holding({ version = version }), holding({ source = source })
      envoy_on_request({ filterContext = context, metadata = metadata })
    end""")
    source = "return function(handle) seen[#seen + 1] = {} end, nil, {}"
    for version in ("1", "1", "2", "2", "1"):
        ask(version, source)
    assert lua.eval("loads") == 2, "the one before is kept"
    ask("3", source)
    ask("1", source)
    assert lua.eval("loads") == 4
    assert lua.eval("#seen") == 7
