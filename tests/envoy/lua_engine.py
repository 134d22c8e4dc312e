"""The generated Lua in LuaJIT, as Envoy runs it, but called from Python: bytes in, bytes out (as latin-1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lupa.luajit21 import LuaRuntime  # type: ignore[import-untyped]

from envoy.lua_program import lua_program
from envoy.match_rules import MatchRule


class LuaEngine:
    """One program, loaded."""

    def __init__(self, rules: Sequence[MatchRule] = (), reserved: frozenset[str] = frozenset()) -> None:
        self.lua = LuaRuntime(encoding="latin-1", unpack_returned_tuples=True)
        self.source = lua_program(rules, reserved)
        self.decide, self.units = self.lua.execute(self.source)

    def call(self, name: str, *arguments: Any) -> Any:
        """Call one of its functions; a table comes back as a dict."""
        return plain(self.units[name](*arguments))

    def handle(self, headers: Sequence[tuple[str, str]]) -> tuple[Any, dict[str, str]]:
        """Make a stream handle with these headers, and the filter state that it fills."""
        state: dict[str, str] = {}
        make: Callable[..., Any] = self.lua.eval(
            """function(count, at_index, set, cleared)
              local headers = {
                getNumValues = function(_, name) return count(name) end,
                getAtIndex = function(_, name, at) return at_index(name, at) end,
              }
              local state = { set = function(_, key, kind, value) set(key, kind, value) end }
              return {
                headers = function() return headers end,
                streamInfo = function() return { filterState = function() return state end } end,
                clearRouteCache = function() cleared() end,
              }
            end"""
        )

        def values(name: str) -> list[str]:
            return [value.strip(" \t") for key, value in headers if key.lower() == name]

        def put(key: str, kind: str, value: str) -> None:
            assert kind == "envoy.string"
            state[key] = value

        handle = make(
            lambda name: len(values(name)),
            lambda name, at: values(name)[at],
            put,
            lambda: state.update(cleared="yes"),
        )
        return handle, state


def plain(value: Any) -> Any:
    """Make Python's own of a table."""
    if hasattr(value, "items"):
        return {key: plain(each) for key, each in value.items()}
    return value
