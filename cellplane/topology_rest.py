"""Classify over HTTP: `POST /v1/classify` in protojson, and how long and by which tags to keep the answer.

The Topology Service runs it beside gRPC, for routers that cache. Both answer from one place; nobody but the
service says how long an answer may be kept.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import grpc
from aiohttp import web
from google.protobuf import json_format
from google.rpc import status_pb2

from cellplane.settings import Listen, SettingsError, TlsFiles
from pb.gitlab.cells.topology_service import classify_service_pb2
from topology.service.classify import Lifetimes, Routed
from topology.service.failure import Failure, invalid
from topology.service.gate import rules_of
from topology.service.identity import Caller, Names, Role, caller_of, may
from topology.service.routing_services import ClassifyService, routed_message

MAX_BYTES: Final = 256 * 1024
_METHOD: Final = "/gitlab.cells.topology_service.ClassifyService/Classify"
# As gRPC-Gateway has it, which GitLab's REST clients know.
_HTTP: Final[Mapping[grpc.StatusCode, int]] = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.UNAVAILABLE: 503,
}


class ClassifyPages:
    """Serve the page on one address."""

    def __init__(self, classify: ClassifyService, names: Names, lifetimes: Lifetimes) -> None:
        self._classify = classify
        self._names = names
        self._lifetimes = lifetimes
        self._verified = False
        self._rules = rules_of((classify_service_pb2.DESCRIPTOR,))[_METHOD]
        app = web.Application(client_max_size=MAX_BYTES)
        app.router.add_post("/v1/classify", self._page)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)

    async def start(self, listen: Listen, files: TlsFiles) -> int:
        """Listen; return the port. Raise SettingsError where the address cannot be had."""
        self._verified = files.ca is not None
        await self._runner.setup()
        try:
            site = web.TCPSite(self._runner, listen.host, listen.port, ssl_context=_context(files))
            await site.start()
        except OSError as error:  # an ssl.SSLError is one too
            raise SettingsError(f"--rest-listen {listen}: {error.strerror or error}.") from error
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _page(self, request: web.Request) -> web.Response:
        try:
            self._let_in(request)
            decision = self._classify.decide(_read(await request.read()))
        except Failure as failure:
            return self._failed(failure)
        body = json_format.MessageToDict(routed_message(decision))
        return web.json_response(body, headers=self._kept(self._lifetimes.found, decision))

    def _let_in(self, request: web.Request) -> None:
        caller = self._caller(request)
        if not may(caller, self._rules, None):
            words = f"{caller.name!r} ({caller.role}) may not classify"
            raise Failure(grpc.StatusCode.PERMISSION_DENIED, words, "ACCESS_DENIED")

    def _caller(self, request: web.Request) -> Caller:
        if not self._verified:
            return Caller(Role.UNVERIFIED, "")
        certificate = request.get_extra_info("peercert") or {}
        subject = dict(part for parts in certificate.get("subject", ()) for part in parts)
        return caller_of(subject.get("commonName", ""), self._names)

    def _failed(self, failure: Failure) -> web.Response:
        code, _ = failure.code.value
        status = status_pb2.Status()
        for _, details in failure.trailers():
            status.ParseFromString(details)
        body: dict[str, Any] = {
            "code": code,
            "message": failure.message,
            "details": [json_format.MessageToDict(each) for each in status.details],
        }
        headers = {"cache-control": "no-store"}
        if failure.code is grpc.StatusCode.NOT_FOUND:
            headers = self._kept(self._lifetimes.not_found, None)
        return web.json_response(body, status=_HTTP.get(failure.code, 500), headers=headers)

    def _kept(self, seconds: int, decision: Routed | None) -> dict[str, str]:
        headers = {"cache-control": f"max-age={seconds}, stale-if-error={self._lifetimes.stale}"}
        if decision is not None:
            headers["cache-tag"] = ",".join(tags_of(decision))
        return headers


def tags_of(decision: Routed) -> tuple[str, ...]:
    """Name what an answer depends on, for caches that purge by tag: the cell, and the claim that decided."""
    cell = f"cell-{decision.cell.id}"
    if decision.bucket is None:
        return (cell,)
    return cell, f"{decision.bucket.type.name}:{quote(decision.bucket.value, safe='')}"


def _read(text: bytes) -> classify_service_pb2.ClassifyRequest:
    """Read a request. Old clients send one `claim`, which the message does not know any more."""
    try:
        body = json.loads(text)
        if isinstance(body, dict) and "claim" in body:
            old = body.pop("claim")
            body.setdefault("claims", [old])
        return json_format.ParseDict(body, classify_service_pb2.ClassifyRequest())
    except (ValueError, RecursionError, AttributeError, json_format.ParseError) as error:
        raise invalid(f"the body is no ClassifyRequest in JSON: {error}") from None


def _context(files: TlsFiles) -> ssl.SSLContext | None:
    if files.cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=files.ca)
    context.load_cert_chain(files.cert, files.key)
    if files.ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context
