"""The entry of the route table that has a request read, before the first rule that needs it.

A request that such a rule may match, and that no rule before decided, ends here at first. This route alone
enables the listener's Lua filter, and brings it the program; Lua reads the request, leaves keys in the filter
state and has the route looked up again, which then passes this entry by. Other requests never meet Lua.
Should Lua fail, this route's own answer stands: 503, and no cell. `View -> Snapshot`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from itertools import takewhile
from typing import Final

from google.protobuf import struct_pb2

from envoy import matchers, steered
from envoy.asking import enable
from envoy.classification import BUCKETS, KeyType
from envoy.conditions import may_match
from envoy.edge import OWNER_HEADER, Lookups
from envoy.lua_program import END_HEADER, PASSED_HEADER, PASSED_TEXT, Ends, lua_program
from envoy.match_rules import Classify, MatchRule
from envoy.matchers import Entry, all_of, any_of_all, entry, leaf, negated, packed
from envoy.moved import REPLAYED_BYTES, SCRIPT
from envoy.ruleset import Rule, Ruleset, SessionCookieRule
from envoy.standing import Access, Standing
from pb.envoy.config.core.v3 import base_pb2
from pb.envoy.config.route.v3 import route_components_pb2 as route_pb2
from pb.envoy.extensions.filters.http.lua.v3 import lua_pb2
from xds.encoding import text_field

LUA_FILTER: Final = "cellplane.keys"
READ_STATE: Final = "cellplane.keys"
"""The filter state that Lua sets when it has read a request of a sidecar, which hands our headers on."""
ROUTE_NAME: Final = "unread"
NO_NAMES: Final[Mapping[str, str]] = {}

VM_ID: Final = "cellplane"
"""Both Lua filters have one VM for each worker, and every version of the listener has the same: what Lua
remembers outlives them. Envoy keeps a VM for an id and a source, so both filters have one source too.
"""
_VM_ID_FIELD: Final = 9  # Lua.shared_vm_id; the API that we generate from does not know it yet

# Constant: a ruleset never changes the listener. The program comes with the route, once for each version; the
# one before is kept for requests that were read by it and wait for an answer.
LOADER: Final = """\
cellplane = cellplane or {}
function envoy_on_request(handle)
  local context = handle:filterContext()
  local version = context:get("version")
  if version then
    local program = cellplane[version]
    if not program then
      local decide, decide_again, own = assert(loadstring(handle:metadata():get("source"), "=cellplane"))()
      program = { decide = decide, decide_again = decide_again, moved = own.moved, version = version }
      if cellplane.before then cellplane[cellplane.before.version] = nil end
      cellplane.before, cellplane.newest = cellplane.newest, program
      cellplane[version] = program
    end
    program.decide(handle, version)
  elseif not context:get("upstream") then
    local asked = handle:streamInfo():dynamicMetadata():get("cellplane.asked")
    cellplane[asked.version].decide_again(handle, asked.claims, context:get("rule"))
  end
end
function envoy_on_response(handle)
  if handle:filterContext():get("upstream") and handle:headers():get("{header}") then
    cellplane.newest.moved(handle, "{header}", {replayed})
  end
end
""".replace("{header}", OWNER_HEADER).replace("{replayed}", str(REPLAYED_BYTES))


READ: Final = matchers.contains(matchers.header(END_HEADER), "/")
UNREAD: Final = negated(READ)
"""Matches before Lua was there, and where it never was."""
PASSED: Final = matchers.equals(matchers.header(PASSED_HEADER), PASSED_TEXT)
"""Matches where Lua was, and had something to say of a rule besides where the request ends."""
_GUARDED: Final = negated(matchers.starts(matchers.filter_state(READ_STATE), "read"))


def pending(
    ruleset: Ruleset, lookups: Lookups | None, standings: Mapping[int, Standing], *, limits: bool = False
) -> tuple[Entry, ...]:
    """Make the entry; none where matchers decide everything. It is for requests that are `UNREAD`.

    `limits`: what clients steer is counted and limited.
    """
    rules = tuple(rule for rule in ruleset.matches if not rule.is_native)
    if not rules:
        return ()
    worth = any_of_all(may_match(rule, ruleset.reserved) for rule in sorted(rules, key=_starts_somewhere))
    order = [rule.name for rule in ruleset.rules if rule not in at_once(ruleset)]
    source = lua_program(rules, ruleset.reserved, lookups, order, ends=ends_at(standings))
    route = _route(source, asks=lookups is not None)
    if limits and any(map(_steers, ruleset.rules)):
        steered.enable(route)
    return (entry(worth, leaf(route)),)


def _starts_somewhere(rule: MatchRule) -> bool:
    """Tell apart what matches wherever the first segment is a name: most that is read, so it goes first."""
    return not any(each.unreserved for each in rule.conditions)


def ends_at(standings: Mapping[int, Standing]) -> Ends:
    """Give the texts that lead to cells; in the same table each of them has its leaf."""
    open_to = [cell for cell in standings.values() if cell.owned is not Access.CLOSED]
    return Ends(
        tuple(str(cell.cell_id) for cell in open_to),
        tuple(cell.session_prefix for cell in open_to if cell.session_prefix),
    )


def needs_lua(rule: Rule) -> bool:
    """Tell whether a rule asks for what matchers can't take out of a request."""
    return isinstance(rule, MatchRule) and not rule.is_native


def _steers(rule: Rule) -> bool:
    """Tell whether what a client says leads to a cell: a cookie, or a key that is nobody's claim."""
    if isinstance(rule, MatchRule):
        keys = rule.action.keys if isinstance(rule.action, Classify) else ()
        return any(key.type not in BUCKETS and key.type is not KeyType.FIRST_CELL for key in keys)
    return isinstance(rule, SessionCookieRule)


def at_once(ruleset: Ruleset) -> tuple[Rule, ...]:
    """Give the rules before the first that needs Lua: a request is never read for what they decide."""
    return tuple(takewhile(lambda rule: not needs_lua(rule), ruleset.rules))


def guarded(ruleset: Ruleset, header: str, names: Mapping[str, str]) -> tuple[Entry, ...]:
    """Make the entry of a sidecar: Lua reads what may name a claim, and refuses what has left the cell.

    Lua takes `names` over from the virtual host's metadata once for each program, so they are in its version.
    """
    rules = tuple(rule for rule in ruleset.matches if isinstance(rule.action, Classify) and rule.action.asks)
    if not rules:
        return ()
    worth = any_of_all(may_match(rule, ruleset.reserved) for rule in rules)
    route = _route(lua_program(rules, ruleset.reserved, fenced=header), asks=False, names=names)
    return (entry(all_of(_GUARDED, worth), leaf(route)),)


def lua_filter() -> lua_pb2.Lua:
    """Make a filter that runs on routes which name the script, and on no others: in the listener, behind
    ext_proc, and upstream.
    """
    found = lua_pb2.Lua()
    found.source_codes[SCRIPT].inline_string = LOADER
    found.clear_route_cache.value = False
    found.MergeFromString(text_field(_VM_ID_FIELD, VM_ID))
    return found


def _route(source: str, *, asks: bool, names: Mapping[str, str] = NO_NAMES) -> route_pb2.Route:
    # Envoy copies the context for each request that Lua looks at, and no metadata until somebody asks for it.
    context = struct_pb2.Struct()
    program = json.dumps([source, sorted(names.items())]) if names else source
    context["version"] = hashlib.sha256(program.encode()).hexdigest()[:16]
    body = "This request could not be read. Try again later.\n"
    route = route_pb2.Route(
        name=ROUTE_NAME,
        match=route_pb2.RouteMatch(prefix="/"),
        direct_response=route_pb2.DirectResponseAction(
            status=503, body=base_pb2.DataSource(inline_string=body)
        ),
    )
    route.metadata.filter_metadata[LUA_FILTER]["source"] = source
    route.typed_per_filter_config[LUA_FILTER].CopyFrom(
        packed(lua_pb2.LuaPerRoute(name=SCRIPT, filter_context=context))
    )
    if asks:
        enable(route)
    return route
