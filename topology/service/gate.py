"""The gate in front of every method: who calls, whether they may, what became of it.

The server hangs it before all services. It reads the access rules out of the descriptors, so that the proto
files are the only place where they stand. It never reads identity from a header. Stands before `Request ->
ClassificationKey -> Decision`.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, Self

import grpc
import grpc.aio
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor

from pb.gitlab.cells.topology_service import autz_pb2
from topology.errors import StoreRefused, StoreUnavailable
from topology.service.failure import Failure
from topology.service.identity import NO_MORE_NAMES, Caller, Names, Role, Rule, caller_of, may

log = logging.getLogger("topology.service")

REQUEST_ID: Final = "x-request-id"
USER: Final = "x-cellplane-user"
_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z")
# Nothing is told there but whether the service is up, and what its API is.
PUBLIC: Final = (
    "/grpc.health.v1.Health/",
    "/gitlab.cells.topology_service.HealthService/",
    "/grpc.reflection.v1alpha.ServerReflection/",
    "/grpc.reflection.v1.ServerReflection/",
)
# For a method about which no rule is known.
_DEFAULT: Final = (int(Rule.ANY_AUTHENTICATED),)

Context = grpc.aio.ServicerContext[Any, Any]
_caller: ContextVar[Caller] = ContextVar("caller")


@dataclass(slots=True)
class Counts:
    """What became of calls: (method, status code), and of callers: (method, role) refused."""

    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)


def current_caller() -> Caller:
    """Give who makes the call that is being answered."""
    return _caller.get()


def rules_of(files: Iterable[FileDescriptor]) -> Mapping[str, tuple[int, ...]]:
    """Read the access rules of every method: `/package.Service/Method` to numbers of rules."""
    return {
        f"/{service.full_name}/{method.name}": _rules(method)
        for file in files
        for service in file.services_by_name.values()
        for method in service.methods
    }


def _rules(method: MethodDescriptor) -> tuple[int, ...]:
    found = method.GetOptions().Extensions[autz_pb2.access_control].authorization_rules
    return tuple(found) or _DEFAULT


class Gate(grpc.aio.ServerInterceptor):
    """Lets calls in. Where clients show no certificates (`verified` False), rules cannot be applied."""

    def __init__(
        self,
        rules: Mapping[str, tuple[int, ...]],
        *,
        verified: bool,
        names: Names = NO_MORE_NAMES,
        counts: Counts | None = None,
    ) -> None:
        self.counts = counts or Counts()
        self._rules = rules
        self._verified = verified
        self._names = names

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Put the gate before a method's handler."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(PUBLIC):
            return handler
        how = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(self._unary(method, handler.unary_unary), **how)
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(self._stream(method, handler.unary_stream), **how)
        raise AssertionError(f"{method} takes a stream of requests, which no gate has seen yet")

    def _unary(self, method: str, answer: Callable[[Any, Context], Awaitable[Any]]) -> Callable[..., Any]:
        async def behind_the_gate(request: Any, context: Context) -> Any:
            async with _Passage(self, method, context) as passage:
                passage.let_in(request)
                return await answer(request, context)

        return behind_the_gate

    def _stream(
        self, method: str, answer: Callable[[Any, Context], AsyncIterator[Any]]
    ) -> Callable[..., Any]:
        async def behind_the_gate(request: Any, context: Context) -> AsyncIterator[Any]:
            async with _Passage(self, method, context) as passage:
                passage.let_in(request)
                async for response in answer(request, context):
                    yield response

        return behind_the_gate

    def identify(self, context: Context) -> Caller:
        """Say who is at the other end, by what TLS verified and by nothing else."""
        if not self._verified:
            said = dict(context.invocation_metadata() or ()).get(USER, "")
            name = said if isinstance(said, str) and said and len(said) <= 200 else str(context.peer())
            return Caller(Role.UNVERIFIED, name)
        names = tuple(context.auth_context().get("x509_common_name", ()))
        return caller_of(names[0].decode(errors="replace") if names else "", self._names)

    def check(self, method: str, caller: Caller, request: Any) -> None:
        """Raise Failure where no rule lets the caller in."""
        cell_id = getattr(request, "cell_id", None)
        if may(caller, self._rules.get(method, ()), cell_id):
            return
        self.counts.refused[method, caller.role.value] += 1
        who = caller.name or "a certificate without a common name"
        raise Failure(
            grpc.StatusCode.PERMISSION_DENIED,
            f"{who!r} ({caller.role}) may not call {method}" + (f" for cell {cell_id}" if cell_id else ""),
            "ACCESS_DENIED",
        )


class _Passage:
    """One call on its way through: its caller, its request id, its end."""

    def __init__(self, gate: Gate, method: str, context: Context) -> None:
        self._gate = gate
        self._method = method
        self._context = context
        self._id = ""

    async def __aenter__(self) -> Self:
        given = dict(self._context.invocation_metadata() or ()).get(REQUEST_ID, "")
        self._id = given if isinstance(given, str) and _ID.match(given) else str(uuid.uuid4())
        self._context.set_trailing_metadata(((REQUEST_ID, self._id),))
        return self

    def let_in(self, request: Any) -> None:
        caller = self._gate.identify(self._context)
        self._gate.check(self._method, caller, request)
        _caller.set(caller)

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._count(grpc.StatusCode.OK)
            return
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            self._count(grpc.StatusCode.CANCELLED)
            return
        failure = _failure_of(error)
        if failure is None:
            self._count(grpc.StatusCode.INTERNAL)
            log.error("call_failed method=%s request=%s", self._method, self._id, exc_info=error)
            failure = Failure(
                grpc.StatusCode.INTERNAL, f"an error of ours; it is logged with request {self._id}"
            )
        else:
            self._count(failure.code)
        trailers: tuple[tuple[str, str | bytes], ...] = ((REQUEST_ID, self._id), *failure.trailers())
        await self._context.abort(failure.code, failure.message, trailing_metadata=trailers)

    def _count(self, code: grpc.StatusCode) -> None:
        self._gate.counts.calls[self._method, code.name] += 1


def _failure_of(error: BaseException) -> Failure | None:
    """Say what an error means to the caller; None where it is a bug of ours."""
    match error:
        case Failure():
            return error
        case StoreUnavailable():
            return Failure(
                grpc.StatusCode.UNAVAILABLE, f"the store: {error}", "STORE_UNAVAILABLE", retry_seconds=0.5
            )
        case StoreRefused():
            return Failure(grpc.StatusCode.INTERNAL, f"the store refused: {error}", "STORE_REFUSED")
        case _:
            return None
