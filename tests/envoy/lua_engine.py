"""The generated Lua in LuaJIT, as Envoy runs it, but called from Python: bytes in, bytes out (as latin-1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lupa.luajit21 import LuaRuntime  # type: ignore[import-untyped]

from envoy.edge import Lookups
from envoy.forgetting import forgetting
from envoy.lua_program import Ends, lua_program
from envoy.match_rules import MatchRule
from envoy.request import QUICK_HEADERS, Request


@dataclass(slots=True)
class Stream:
    """What Lua sees of a request besides its headers, and what it leaves."""

    handle: Any = None
    state: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    """Headers that it left."""
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    cleared: int = 0


class LuaEngine:
    """One program, loaded. `now` is in milliseconds, `generations` what the virtual host says of slots, if it
    names so many of them.
    """

    def __init__(
        self,
        rules: Sequence[MatchRule] = (),
        reserved: frozenset[str] = frozenset(),
        lookups: Lookups | None = None,
        ends: Ends = Ends(),  # noqa: B008  frozen
    ) -> None:
        self.lua = LuaRuntime(encoding="latin-1", unpack_returned_tuples=True)
        self.now = 1_800_000_000_000
        self.generations: dict[int, int] = {}
        self.source = lua_program(rules, reserved, lookups, ends=ends)
        self.decide, self.decide_again, self.units = self.lua.execute(self.source)

    def call(self, name: str, *arguments: Any) -> Any:
        """Call one of its functions; a table comes back as a dict."""
        return plain(self.units[name](*arguments))

    def stream(self, headers: Sequence[tuple[str, str]]) -> Stream:
        """Make a stream with these headers."""
        stream = Stream()
        make: Callable[..., Any] = self.lua.eval(
            """function(count, at_index, set, cleared, now, said, get_metadata, set_metadata, replace, remove)
              local headers = {
                getNumValues = function(_, name) return count(name) end,
                getAtIndex = function(_, name, at) return at_index(name, at) end,
                replace = function(_, name, value) replace(name, value) end,
                remove = function(_, name) remove(name) end,
              }
              local state = { set = function(_, key, kind, value) set(key, kind, value) end }
              local slots = { get = function(_, name) return said(name) end }
              local metadata = {
                get = function(_, space) return get_metadata(space) end,
                set = function(_, space, name, value) set_metadata(space, name, value) end,
              }
              return {
                headers = function() return headers end,
                streamInfo = function() return {
                  filterState = function() return state end, dynamicMetadata = function() return metadata end,
                } end,
                virtualHost = function() return { metadata = function() return slots end } end,
                timestamp = function() return now() end,
                clearRouteCache = function() cleared() end,
              }
            end"""
        )

        def values(name: str) -> list[str]:
            if name in QUICK_HEADERS:
                one = Request(headers=tuple(headers)).header(name)
                return [] if one is None else [one]
            return [value.strip(" \t") for key, value in headers if key.lower() == name]

        def put(key: str, kind: str, value: str) -> None:
            assert kind == "envoy.string"
            stream.state[key] = value

        def cleared() -> None:
            stream.cleared += 1

        def found(space: str) -> Any:
            return self.lua.table_from(stream.metadata[space]) if space in stream.metadata else None

        stream.handle = make(
            lambda name: len(values(name)),
            lambda name, at: values(name)[at],
            put,
            cleared,
            lambda: self.now,
            lambda name: forgetting(self.generations).get(name),
            found,
            lambda space, name, value: stream.metadata.setdefault(space, {}).update({name: value}),
            lambda name, value: stream.left.update({name: value}),
            lambda name: stream.left.pop(name, None),
        )
        return stream


def plain(value: Any) -> Any:
    """Make Python's own of a table."""
    if hasattr(value, "items"):
        return {key: plain(each) for key, each in value.items()}
    return value
