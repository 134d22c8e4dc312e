"""The service over HTTP: classify, with how long an answer may be kept, and all that can be read.

The Topology Service runs it beside gRPC; `rest_table` says what is served. Both answer from the same services
under the same access rules; nobody but the service says how long an answer may be kept.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

import grpc
from aiohttp import web
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import status_pb2

from cellplane.https import certificate_of, https_context
from cellplane.rest_openapi import document
from cellplane.rest_table import TABLE, Operation
from cellplane.settings import Listen, SettingsError, TlsFiles
from cellplane.tracing import Ending, Tracing
from topology.service.classify import Lifetimes, Routed
from topology.service.failure import Failure, failure_of, invalid
from topology.service.gate import NAMELESS, rules_of
from topology.service.identity import Caller, Names, Role, identify, may
from topology.service.request_id import REQUEST_ID, begin, current_request_id
from topology.service.routing_services import NOT_UNDERSTOOD, routed_message
from topology.service.server import FILES, TopologyServer

log = logging.getLogger("cellplane.topology_rest")

MAX_BYTES: Final = 256 * 1024
# As gRPC-Gateway has it, which GitLab's REST clients know; but a revision that is gone is not there.
_HTTP: Final[Mapping[grpc.StatusCode, int]] = MappingProxyType(
    {
        grpc.StatusCode.INVALID_ARGUMENT: 400,
        grpc.StatusCode.FAILED_PRECONDITION: 400,
        grpc.StatusCode.NOT_FOUND: 404,
        grpc.StatusCode.OUT_OF_RANGE: 404,
        grpc.StatusCode.PERMISSION_DENIED: 403,
        grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
        grpc.StatusCode.UNAUTHENTICATED: 401,
        grpc.StatusCode.UNAVAILABLE: 503,
    }
)
_UNSEEN: Final = {
    404: (grpc.StatusCode.NOT_FOUND, "NO_SUCH_PATH"),
    405: (grpc.StatusCode.UNIMPLEMENTED, "NO_SUCH_METHOD"),
    413: (grpc.StatusCode.INVALID_ARGUMENT, "TOO_LARGE"),
}
_UNKEPT: Final = {"cache-control": "no-store"}
_RULES: Final = rules_of(FILES)


class RestPages:
    """Serve the pages on one address."""

    def __init__(
        self, server: TopologyServer, names: Names, lifetimes: Lifetimes, tracing: Tracing | None = None
    ) -> None:
        self._server = server
        self._names = names
        self._lifetimes = lifetimes
        self._tracing = tracing
        self._verified = False
        self._document = json.dumps(document(importlib.metadata.version("cellplane")), indent=1)
        app = web.Application(client_max_size=MAX_BYTES, middlewares=[_in_our_words])
        for operation in TABLE:
            page = self._page_of(operation)
            app.router.add_route(operation.verb, operation.path, page)
            if operation.verb == "GET":  # whoever serves GET serves HEAD
                app.router.add_route("HEAD", operation.path, page)
        app.router.add_get("/openapi.json", self._openapi)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)

    async def start(self, listen: Listen, files: TlsFiles) -> int:
        """Listen; return the port. Raise SettingsError where the address cannot be had."""
        self._verified = files.ca is not None
        await self._runner.setup()
        try:
            site = web.TCPSite(
                self._runner, listen.host, listen.port, ssl_context=https_context(files, demanding=True)
            )
            await site.start()
        except OSError as error:  # an ssl.SSLError is one too
            raise SettingsError(f"--rest-listen {listen}: {error.strerror or error}.") from error
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    def _page_of(self, operation: Operation) -> Callable[[web.Request], Awaitable[web.Response]]:
        answer = self._classify if operation.verb == "POST" else self._read

        async def page(request: web.Request) -> web.Response:
            counts, began = self._server.counts, time.perf_counter()
            with self._traced(operation.method, request) as ending:
                try:
                    caller = self._caller(request)
                    with self._server.places.held_for(lambda: caller):
                        answered = await answer(operation, request, caller)
                    counts.took(operation.method, time.perf_counter() - began)
                except web.HTTPClientError:  # the server's own: too large
                    ending.code = grpc.StatusCode.INVALID_ARGUMENT
                    counts.calls[operation.method, ending.code.name] += 1
                    raise
                except Exception as error:  # what it means to the caller; a bug of ours goes on
                    failure = failure_of(error)
                    if failure is None:
                        ending.code = grpc.StatusCode.INTERNAL
                        counts.calls[operation.method, ending.code.name] += 1
                        raise
                    ending.code, ending.words = failure.code, failure.message
                    answered = self._failed(operation, failure)
            counts.calls[operation.method, ending.code.name] += 1
            return answered

        return page

    def _traced(self, method: str, request: web.Request) -> AbstractContextManager[Ending]:
        if self._tracing is None:
            return nullcontext(Ending())
        return self._tracing.over_http(method, request.headers)

    async def _openapi(self, _: web.Request) -> web.Response:
        return web.Response(text=self._document, content_type="application/json")

    async def _classify(self, operation: Operation, request: web.Request, caller: Caller) -> web.Response:
        self._let_in(operation, caller, None)
        text = await request.read()
        try:
            asked = operation.parsed(_modern(text))
        except Failure:
            self._server.classify.decisions[NOT_UNDERSTOOD] += 1
            raise
        decision = self._server.classify.decide(asked)  # type: ignore[arg-type]  # of the operation's type
        found = self._lifetimes.found
        seconds = found if decision.seconds is None else min(found, decision.seconds)
        headers = self._kept(seconds, decision)
        return web.json_response(_json(routed_message(decision.cell)), headers=headers)

    async def _read(self, operation: Operation, request: web.Request, caller: Caller) -> web.Response:
        asked = operation.request([*request.match_info.items(), *request.query.items()])
        self._let_in(operation, caller, asked)
        answer = await self._server.answer(operation.method, asked)
        return web.json_response(_json(answer), headers=_UNKEPT)

    def _let_in(self, operation: Operation, caller: Caller, asked: Message | None) -> None:
        if not may(caller, _RULES[operation.method], getattr(asked, "cell_id", None)):
            self._server.counts.refused[operation.method, caller.role.value] += 1
            words = f"{caller.name or NAMELESS!r} ({caller.role}) may not ask {operation.path}"
            raise Failure(grpc.StatusCode.PERMISSION_DENIED, words, "ACCESS_DENIED")

    def _caller(self, request: web.Request) -> Caller:
        if not self._verified:  # over HTTP/1 a connection has one call at a time: the host is who calls
            return Caller(Role.UNVERIFIED, f"http:{request.remote}")
        certificate = certificate_of(request)
        certificate.check()
        return identify(certificate.name, lambda name: request.headers.getall(name, ()), self._names)

    def _failed(self, operation: Operation, failure: Failure) -> web.Response:
        headers = _UNKEPT
        if operation.cached and failure.code is grpc.StatusCode.NOT_FOUND:
            headers = self._kept(self._lifetimes.not_found, None)
        if failure.retry_seconds:
            headers = {**headers, "retry-after": str(math.ceil(failure.retry_seconds))}
        return web.json_response(_body(failure), status=_HTTP.get(failure.code, 500), headers=headers)

    def _kept(self, seconds: int, decision: Routed | None) -> dict[str, str]:
        headers = {"cache-control": f"max-age={seconds}, stale-if-error={self._lifetimes.stale}"}
        if decision is not None:
            headers["cache-tag"] = ",".join(tags_of(decision))
        return headers


@web.middleware
async def _in_our_words(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Name each request. What no page sees (no such path or method, a body too large), answer as they do."""
    begin(request.headers.get(REQUEST_ID, ""))
    answered: web.StreamResponse
    try:
        answered = await handler(request)
    except web.HTTPClientError as error:
        code, reason = _UNSEEN.get(error.status, (grpc.StatusCode.INVALID_ARGUMENT, "INVALID"))
        allowed = {"allow": error.headers["allow"]} if "allow" in error.headers else {}
        body = _body(Failure(code, error.text or error.reason, reason))
        answered = web.json_response(body, status=error.status, headers={**_UNKEPT, **allowed})
    except Exception:  # a bug of ours
        log.exception("call_failed path=%s", request.path)
        words = f"an error of ours; it is logged with request {current_request_id()}"
        body = _body(Failure(grpc.StatusCode.INTERNAL, words))
        answered = web.json_response(body, status=500, headers=_UNKEPT)
    answered.headers[REQUEST_ID] = current_request_id()
    return answered


def _body(failure: Failure) -> dict[str, Any]:
    code, _ = failure.code.value
    status = status_pb2.Status()
    for _, details in failure.trailers():
        status.ParseFromString(details)
    return {"code": code, "message": failure.message, "details": [_json(each) for each in status.details]}


def tags_of(decision: Routed) -> tuple[str, ...]:
    """Name what an answer depends on, for caches that purge by tag: the cell, and the claim that decided."""
    cell = f"cell-{decision.cell.id}"
    if decision.bucket is None:
        return (cell,)
    return cell, f"{decision.bucket.type.name}:{quote(decision.bucket.value, safe='')}"


def _modern(text: bytes) -> Any:
    """Read JSON. Old clients send one `claim`, which the message does not know any more."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid(f"the request is no ClassifyRequest in JSON: {error}") from None
    if not isinstance(body, dict):
        raise invalid("the request is no ClassifyRequest in JSON: send an object, {…}")
    if "claim" in body:
        old = body.pop("claim")
        body.setdefault("claims", [old])
    return body


def _json(message: Message) -> Any:
    return json_format.MessageToDict(message)
