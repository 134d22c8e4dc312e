"""The console over HTTP: its files, what it shows of this moment, the explain box, and what may be done.

Added to the status pages of a control plane. Reading asks nobody who they are; acting does, and is planned
and written as every other change. What it does comes back as an Event like anybody's.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from types import MappingProxyType
from typing import Any, Final

import grpc
from aiohttp import web

from cellplane.cell_input import InputError
from cellplane.console_access import Asked, ConsoleSettings, Visitor, foreign, visitor
from cellplane.console_actions import step_of
from cellplane.console_state import state_json
from cellplane.explaining import explanation_json, request_of
from cellplane.fleet_report import Filter
from cellplane.fleet_wide import FleetReader
from cellplane.https import certificate_of
from cellplane.pages import Pages
from cellplane.push_history import PushHistory
from cellplane.rules_history import CURRENT, KIND
from envoy.decision import Lookup
from envoy.evaluator import explain
from envoy.rules import DEFAULT_RULESET, Ruleset, parse_ruleset
from topology.service.changer import Changer, stamp_of_caller
from topology.service.failure import Failure, failure_of, invalid, not_ready
from topology.service.gate import acting_as
from topology.service.identity import Caller, Role
from topology.view import View

log = logging.getLogger("cellplane.console")

FILES: Final = {"console.html": "text/html", "console.css": "text/css"} | dict.fromkeys(
    ("console.js", "drawing.js", "acting.js"), "text/javascript"
)
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_GUARDS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_MOST_BYTES: Final = 16 * 1024
_HTTP: Final[Mapping[grpc.StatusCode, int]] = MappingProxyType(
    {
        grpc.StatusCode.INVALID_ARGUMENT: 400,
        grpc.StatusCode.FAILED_PRECONDITION: 400,
        grpc.StatusCode.NOT_FOUND: 404,
        grpc.StatusCode.ABORTED: 409,
        grpc.StatusCode.PERMISSION_DENIED: 403,
        grpc.StatusCode.UNAVAILABLE: 503,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Where the console reads. `lookup` tells owners of claims, where this process knows any."""

    view: Callable[[], View | None]
    readiness: Callable[[], dict[str, Any]]
    fleet: FleetReader
    history: PushHistory
    lookup: Callable[[], Lookup | None]


class ConsolePages:
    """Add the pages to those of a status server, before it starts."""

    def __init__(self, pages: Pages, sources: Shown, changer: Changer, settings: ConsoleSettings) -> None:
        self._sources = sources
        self._changer = changer
        self._settings = settings
        folder = resources.files("cellplane") / "console"
        for name, kind in FILES.items():
            path = "/console/" if name == "console.html" else f"/console/{name}"
            pages.add(path, _file((folder / name).read_bytes(), kind))
        for path in ("/", "/console"):
            pages.add(path, _to_the_console)
        pages.add("/v1/console", self._state)
        pages.add("/v1/explain", _answering(self._explain))
        pages.add_post("/v1/actions/{action}", _answering(self._act))

    async def _state(self, request: web.Request) -> web.Response:
        asked, sources = request.query, self._sources
        wanted = Filter(node=asked.get("node", ""), state=asked.get("state", ""))
        whole, view, readiness = await sources.fleet.read(), sources.view(), sources.readiness()
        who = visitor(self._settings, _asked(request))

        def made() -> str:
            document = state_json(view, whole, readiness, wanted, datetime.now(UTC))
            return json.dumps({**document, "you": {"name": who.name, "why_not": who.why_not}})

        # In a thread: thousands of nodes must not keep the streams waiting.
        text = await asyncio.to_thread(made)
        return web.Response(text=text, content_type="application/json", headers={"cache-control": "no-store"})

    async def _explain(self, request: web.Request) -> dict[str, Any]:
        asked = request.query
        view = self._sources.view()
        if view is None:
            raise not_ready("the topology")
        try:
            wanted = request_of(
                asked.get("method") or "GET", asked.get("url", ""), asked.getall("header", ()),
                asked.get("peer", ""), asked.getall("identity", ()),
            )  # fmt: skip
        except InputError as error:
            raise invalid(str(error)) from None
        document = view.documents.get((KIND, CURRENT))
        ruleset = DEFAULT_RULESET if document is None else parse_ruleset(document.body)
        if not isinstance(ruleset, Ruleset):
            words = "; ".join(str(problem) for problem in ruleset[:3])
            raise invalid(f"the ruleset in force cannot be read: {words}")
        lookup = self._sources.lookup()
        found = explain(ruleset, view, wanted, datetime.now(UTC), lookup=lookup)
        return {"revision": view.revision, "claims": lookup is not None, **explanation_json(found, ruleset)}

    async def _act(self, request: web.Request) -> dict[str, Any]:
        """Show what an action would do, or do it: what was shown, or nothing."""
        who = self._may_act(request)
        body = await _body(request)
        name = request.match_info["action"]
        with acting_as(Caller(Role.ADMIN, who.name)):
            stamp = stamp_of_caller(str(body.get("reason") or ""))
            step = step_of(name, body, stamp, self._sources.history)
            shown = body.get("shown") or []
            dry_run = body.get("dry_run") is not False
            if not dry_run and not shown:
                raise invalid("shown: is missing: ask with dry_run first, and say what you were shown")
            done = await self._changer.change([step], dry_run=dry_run, shown=[str(line) for line in shown])
        if not dry_run:
            log.info("acted action=%s by=%s revision=%d", name, who.name, done.revision)
        return {"summary": list(done.summary), "revision": done.revision, "dry_run": dry_run}

    def _may_act(self, request: web.Request) -> Visitor:
        asked = _asked(request)
        who = visitor(self._settings, asked)
        reason = who.why_not or foreign(asked.headers, request.content_type)
        if reason:
            log.warning("action_refused by=%s from=%s reason=%s", who.name or "-", asked.address, reason)
            raise Failure(grpc.StatusCode.PERMISSION_DENIED, reason, "ACCESS_DENIED")
        return who


def _answering(answer: Callable[[web.Request], Awaitable[dict[str, Any]]]) -> Any:
    async def page(request: web.Request) -> web.Response:
        try:
            return web.json_response(await answer(request), headers={"cache-control": "no-store"})
        except Exception as error:  # what it means to the caller; a bug of ours goes on
            failure = failure_of(error)
            if failure is None:
                raise
            body = {"error": failure.message, "reason": failure.reason}
            return web.json_response(body, status=_HTTP.get(failure.code, 500))

    return page


def _file(content: bytes, kind: str) -> Any:
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {**_GUARDS, "etag": tag, "cache-control": "no-cache"}

    async def page(request: web.Request) -> web.Response:
        if request.headers.get("if-none-match") == tag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=content, content_type=kind, charset="utf-8", headers=headers)

    return page


async def _to_the_console(_: web.Request) -> web.Response:
    return web.Response(status=307, headers={"location": "console/"})


def _asked(request: web.Request) -> Asked:
    return Asked(
        address=request.remote or "",
        certificate_name=certificate_of(request).name,
        headers={name.lower(): request.headers.getall(name) for name in request.headers},
    )


async def _body(request: web.Request) -> dict[str, Any]:
    text = await request.content.read(_MOST_BYTES + 1)
    if len(text) > _MOST_BYTES:
        raise invalid(f"the body has more than {_MOST_BYTES} bytes")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid(f"the body is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise invalid("the body must be a JSON object")
    return body
