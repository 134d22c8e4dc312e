"""The ext_proc server that Envoy asks for owners: request headers only, never bodies, answers from memory.

The composition root gives it sources and stops it. While these have not been read it refuses streams and is
not healthy, so that Envoy asks another replica and never takes ignorance for "not found". `Request ->
ClassificationKey -> Decision`: where questions come in.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Container
from datetime import UTC, datetime
from typing import Any, Final

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from envoy.owners import answer, overridden_at
from envoy.questions import NOTHING, read_questions, spell
from pb.envoy.service.ext_proc.v3 import external_processor_pb2 as ext_proc_pb2
from topology.overrides import OverridesOf
from topology.service.classify import Lifetimes
from topology.service.sources import Sources
from xds.errors import ListenError

SERVICE: Final = ext_proc_pb2.DESCRIPTOR.services_by_name["ExternalProcessor"].full_name
OVERALL: Final = ""  # the health of the server as a whole
CATCH_UP_SECONDS: Final = 0.01
"""How long a question may wait for claims that the edge knows to have changed. Envoy waits for longer."""
OTHER: Final = "other"
"""The metrics' word for a rule that is not in force here."""
MAX_STREAMS: Final = 10_000
Around = Callable[[str, Callable[..., Any]], Callable[..., Any]]


class ExtProcServer:
    """Serves what the sources know. `answers` counts (rule, outcome), `streams` how streams were taken.

    `claims_beside_topology`: the claims are in the store of the topology, and so have its revisions.
    `around` lays something around the method, such as a trace. `shown` gets requests that Envoy only shows.
    """

    def __init__(
        self,
        sources: Sources,
        lifetimes: Lifetimes,
        rules: Callable[[], Container[str]],
        *,
        claims_beside_topology: bool = True,
        around: Around = lambda _, answer: answer,
        shown: Callable[[ext_proc_pb2.ProcessingRequest], None] = lambda _: None,
    ) -> None:
        self.answers: Counter[tuple[str, str]] = Counter()
        self.streams: Counter[str] = Counter()
        self._sources = sources
        self._lifetimes = lifetimes
        self._rules = rules
        self._beside = claims_beside_topology
        self._around = around
        self._shown = shown
        self._overrides_of = OverridesOf()
        self._health = health.HealthServicer()
        self._server: grpc.aio.Server | None = None

    async def start(self, address: str, credentials: grpc.ServerCredentials | None) -> int:
        """Listen, and give the port (`host:0` picks one). Raises ListenError."""
        server = grpc.aio.server(
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_concurrent_streams", MAX_STREAMS),
                ("grpc.keepalive_time_ms", 30_000),
                ("grpc.keepalive_timeout_ms", 10_000),
                # Without it a mute peer is noticed only after a minute, whatever the line above says.
                ("grpc.http2.ping_timeout_ms", 10_000),
            ],
            maximum_concurrent_rpcs=MAX_STREAMS,
        )
        process: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(
            self._around(f"/{SERVICE}/Process", self.process),
            request_deserializer=ext_proc_pb2.ProcessingRequest.FromString,
        )
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {"Process": process}),)
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        await self.refresh_health()
        try:
            if credentials is None:
                port = server.add_insecure_port(address)
            else:
                port = server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise ListenError(f"can't listen on {address}: the port is taken, or is not ours") from error
        await server.start()
        self._server = server
        return int(port)

    async def refresh_health(self) -> None:
        """Say whether questions can be answered by now. Called when sources may have become ready."""
        answers = health_pb2.HealthCheckResponse
        status = answers.SERVING if self._sources.ready else answers.NOT_SERVING
        for service in (OVERALL, SERVICE):
            await self._health.set(service, status)

    async def stop(self, grace_seconds: float) -> None:
        """Take no more streams and let the others finish. Harmless if never started."""
        if self._server is None:
            return
        server, self._server = self._server, None
        await self._health.enter_graceful_shutdown()
        await server.stop(grace_seconds)

    async def process(
        self,
        requests: AsyncIterator[ext_proc_pb2.ProcessingRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> AsyncIterator[bytes]:
        """Answer a stream: Envoy opens one for each request that it can't decide."""
        if not self._sources.ready:
            self.streams["not_ready"] += 1
            await context.abort(
                grpc.StatusCode.UNAVAILABLE, "topology or claims have not been read yet: ask another replica"
            )
        self.streams["taken"] += 1
        async for request in requests:
            if request.observability_mode:
                self.streams["shown"] += 1  # among those that were taken
                self._shown(request)
                return
            yield await self._answered(request, context)
            return  # Envoy has no more to ask, and to end the stream here saves it from doing so

    async def _answered(
        self, request: ext_proc_pb2.ProcessingRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> bytes:
        if not request.HasField("request_headers"):
            self.streams["not_headers"] += 1
            kind = request.WhichOneof("request")
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"{kind}: only request headers are taken, set every other mode to SKIP or NONE",
            )
        questions = read_questions(request)
        if questions is None:
            self.streams["malformed"] += 1
            return NOTHING
        newest = max(question.at_least for question in questions)
        if newest > self._known():
            await self._caught_up(newest)
        claims, view, rules, known = self._sources.claims, self._sources.view, self._rules(), self._known()
        overridden = overridden_at(self._overrides_of(view), datetime.now(UTC))
        told = []
        for question in questions:
            found, outcome = answer(view, claims, known, question, self._lifetimes, overridden)
            told.append(found)
            self.answers[question.rule if question.rule in rules else OTHER, outcome.value] += 1
        return spell(tuple(told))

    def _known(self) -> int:
        """Give the revision whose drops and moves are known here.

        Claims in a store of their own have another clock. Their generations are written to the topology
        after them, so that who has seen the one in the View has the other, or will in a moment.
        """
        return self._sources.claims.cursor if self._beside else self._sources.view.revision

    async def _caught_up(self, revision: int) -> None:
        """Wait a moment for what the edge knows of already: it comes here by another way."""
        if not self._beside:
            return
        try:
            async with asyncio.timeout(CATCH_UP_SECONDS):
                await self._sources.follower.reached(revision)
        except TimeoutError:
            pass
