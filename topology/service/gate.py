"""The gate in front of every method: who calls, whether they may, what became of it.

The server registers services through it. It reads the access rules out of the descriptors, so that the proto
files are the only place where they stand. Identity in a header counts from a trusted proxy alone. Stands
before `Request -> ClassificationKey -> Decision`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from typing import Any, Final, NoReturn, Protocol

import grpc
import grpc.aio
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor

from pb.gitlab.cells.topology_service import autz_pb2
from topology.service.certificate import NONE_SHOWN, Shown, shown
from topology.service.counts import Counts
from topology.service.failure import Failure, failure_of
from topology.service.identity import NO_MORE_NAMES, Caller, Names, Role, Rule, identify, may
from topology.service.places import Places
from topology.service.request_id import REQUEST_ID, begin, current_request_id
from topology.service.unknown_fields import refuse_unknown

log = logging.getLogger("topology.service")

NAMELESS: Final = "a certificate without a single common name"
USER: Final = "x-cellplane-user"
USER_BYTES: Final = f"{USER}-bin"  # in UTF-8, for names that are not ASCII
# For a method about which no rule is known.
_DEFAULT: Final = (int(Rule.ANY_AUTHENTICATED),)

Context = grpc.aio.ServicerContext[Any, Any]
Said = tuple[tuple[str, str | bytes], ...]
_caller: ContextVar[Callable[[], Caller]] = ContextVar("caller")
_certificate: ContextVar[Shown] = ContextVar("certificate", default=NONE_SHOWN)


class Around(Protocol):
    """What is laid around each method, outside of the gate: tracing, where it is wanted."""

    def unary(self, method: str, answer: Callable[..., Any]) -> Callable[..., Any]:
        """Give what answers instead; it must let every end through as it is."""
        ...

    def stream(self, method: str, answer: Callable[..., Any]) -> Callable[..., Any]:
        """Do the same for a method that answers with a stream."""
        ...


def current_certificate() -> Shown:
    """Give what whoever makes the call showed for it."""
    return _certificate.get()


def current_caller() -> Caller:
    """Give who makes the call that is being answered."""
    return _caller.get()()


@contextmanager
def acting_as(caller: Caller) -> Iterator[None]:
    """Say who makes a change that comes by another way than a call."""
    token = _caller.set(lambda: caller)
    try:
        yield
    finally:
        _caller.reset(token)


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


class Gate:
    """Lets calls in. Where clients show no certificates (`verified` False), rules cannot be applied.

    Methods that are `unread` take their requests as bytes.
    """

    def __init__(
        self,
        rules: Mapping[str, tuple[int, ...]],
        *,
        verified: bool,
        names: Names = NO_MORE_NAMES,
        counts: Counts | None = None,
        around: Around | None = None,
        places: Places | None = None,
        unread: Collection[str] = (),
    ) -> None:
        self.counts = counts or Counts()
        self.places = places or Places()
        self._rules = rules
        self._verified = verified
        self._names = names
        self._around = around
        self._unread = unread

    def guarded(self, method: str, handler: Any) -> Any:
        """Put the gate before a method's handler."""
        how = {
            "request_deserializer": None if method in self._unread else handler.request_deserializer,
            "response_serializer": _spelling(handler.response_serializer),
        }
        if handler.unary_unary is not None:
            unary = self._unary(method, handler.unary_unary)
            if self._around is not None:
                unary = self._around.unary(method, unary)
            return grpc.unary_unary_rpc_method_handler(unary, **how)
        if handler.unary_stream is not None:
            stream = self._stream(method, handler.unary_stream)
            if self._around is not None:
                stream = self._around.stream(method, stream)
            return grpc.unary_stream_rpc_method_handler(stream, **how)
        raise AssertionError(f"{method} takes a stream of requests, which no gate has seen yet")

    def identify(self, context: Context, said: Said, certificate: Shown = NONE_SHOWN) -> Caller:
        """Say who is at the other end, by what TLS verified; a header counts only from a trusted proxy."""
        if not self._verified:
            user = _value(said, USER) or _value(said, USER_BYTES)
            usable = 0 < len(user) <= 200 and user.isprintable()
            return Caller(Role.UNVERIFIED, user if usable else str(context.peer()))
        return identify(certificate.name, lambda name: _values(said, name), self._names)

    def let_in(self, method: str, request: Any, context: Context) -> str:
        """Raise Failure where no rule lets the caller in; give the id that the caller gave the request."""
        said = tuple(context.invocation_metadata() or ())  # made anew each time that it is asked for
        given = begin(_value(said, REQUEST_ID))
        if not self._verified:  # who it says it is matters only to those who write it down
            _caller.set(lambda: self.identify(context, said))
            return given
        certificate = _shown(context)
        certificate.check()
        _certificate.set(certificate)
        caller = self.identify(context, said, certificate)
        _caller.set(lambda: caller)
        cell_id = getattr(request, "cell_id", None)
        if may(caller, self._rules.get(method, ()), cell_id):
            return given
        self.counts.refused[method, caller.role.value] += 1
        who = caller.name or NAMELESS
        raise Failure(
            grpc.StatusCode.PERMISSION_DENIED,
            f"{who!r} ({caller.role}) may not call {method}" + (f" for cell {cell_id}" if cell_id else ""),
            "ACCESS_DENIED",
        )

    def _unary(self, method: str, answer: Callable[[Any, Context], Awaitable[Any]]) -> Callable[..., Any]:
        async def behind_the_gate(request: Any, context: Context) -> Any:
            began = time.perf_counter()
            try:
                given = self.let_in(method, request, context)
                refuse_unknown(method, request)
                with self.places.held_for(current_caller):
                    response = await answer(request, context)
            except BaseException as error:  # noqa: BLE001  every end is counted, and told in our words
                await self._failed(method, context, error)
            self.counts.took(method, time.perf_counter() - began)
            self._done(method, context, given)
            return response

        return behind_the_gate

    def _stream(
        self, method: str, answer: Callable[[Any, Context], AsyncIterator[Any]]
    ) -> Callable[..., Any]:
        async def behind_the_gate(request: Any, context: Context) -> AsyncIterator[Any]:
            try:
                given = self.let_in(method, request, context)
                refuse_unknown(method, request)
                responses: Any = answer(request, context)
                async with aclosing(responses):
                    async for response in responses:
                        yield response
            except BaseException as error:  # noqa: BLE001  every end is counted, and told in our words
                await self._failed(method, context, error)
            self._done(method, context, given)

        return behind_the_gate

    def _done(self, method: str, context: Context, given: str) -> None:
        self.counts.calls[method, "OK"] += 1
        if given:
            context.set_trailing_metadata(((REQUEST_ID, given),))

    async def _failed(self, method: str, context: Context, error: BaseException) -> NoReturn:
        """End the call with what the error means to the caller."""
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            self.counts.calls[method, grpc.StatusCode.CANCELLED.name] += 1
            raise error
        request_id = current_request_id()
        failure = failure_of(error)
        if failure is None:
            log.error("call_failed method=%s", method, exc_info=error)
            words = f"an error of ours; it is logged with request {request_id}"
            failure = Failure(grpc.StatusCode.INTERNAL, words)
        self.counts.calls[method, failure.code.name] += 1
        trailers: tuple[tuple[str, str | bytes], ...] = ((REQUEST_ID, request_id), *failure.trailers())
        await context.abort(failure.code, failure.message, trailing_metadata=trailers)


def _spelling(serializer: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """Let through what is spelled already: the same answer for many."""
    return lambda answer: answer if type(answer) is bytes else serializer(answer)


def _shown(context: Context) -> Shown:
    for encoded in context.auth_context().get("x509_pem_cert", ()):
        return shown(encoded)
    return NONE_SHOWN


def _value(said: Said, name: str) -> str:
    for key, value in said:
        if key == name:
            return value if isinstance(value, str) else value.decode(errors="replace")
    return ""


def _values(said: Said, name: str) -> list[str]:
    return [value if isinstance(value, str) else "" for key, value in said if key == name]
