"""Calls of the Topology Service as steps, and what carries them out: over asyncio, or in a thread.

`steps` and `move_steps` say what is called, and send no byte; both kinds of clients hand their steps in here.
Third road: who asks for a `Txn`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar, cast

import grpc
import grpc.aio
from google.protobuf.message import Message

from topology.client.errors import ClaimRefused, ServiceAway, TooBusy
from topology.client.failures import meaning
from topology.client.limiter import Limiter

T = TypeVar("T")
CLOSED: Final = "CHANNEL_CLOSED"
"""The reason of a call that was not made, or broken off, for its channel was closed by the application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long things may take, in seconds. A begin is waited for inside a local transaction; the begin of a
    `batch` by a job that mends is not.

    `close`, `listing` and `batch` are for one attempt; `budget` is for all attempts of a call with the pauses
    between, which double from `pause` on.
    """

    begin: float = 0.2
    batch: float = 10.0
    close: float = 1.0
    listing: float = 10.0
    attempts: int = 4
    pause: float = 0.1
    budget: float = 15.0


DEFAULT_PATIENCE: Final = Patience()


@dataclass(frozen=True, slots=True)
class Call:
    """Call a method, with so many seconds for it."""

    method: str
    request: Message
    timeout: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Local:
    """Do something of the application's own."""

    work: Callable[[], Any]


Steps: TypeAlias = Generator[Call | Pause | Local, Any, T]


class Persistence:
    """Repeats what may be repeated, for as long as patience lasts."""

    def __init__(
        self,
        patience: Patience = DEFAULT_PATIENCE,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.patience = patience
        self._chance = chance
        self._clock = clock

    def pause(self, attempt: int) -> float:
        """Say how long to wait behind a failed attempt."""
        return self.patience.pause * float(2 ** (attempt - 1)) * (0.5 + self._chance())

    def repeated(self, method: str, request: Message, timeout: float) -> Steps[Any]:
        """Call until somebody answers, attempts or budget are used up. Who is too busy is given time, too."""
        patience, until = self.patience, self._clock() + self.patience.budget
        for attempt in range(1, patience.attempts + 1):
            left = max(until - self._clock(), 0.001)
            try:
                return (yield Call(method, request, min(timeout, left)))
            except (ServiceAway, TooBusy):
                pause = self.pause(attempt)
                if attempt == patience.attempts or self._clock() + pause >= until:
                    raise
            yield Pause(pause)
        raise AssertionError("the last attempt returns or raises")


async def carry_out(
    steps: Steps[T], stub: Any, limiter: Limiter, sleep: Callable[[float], Awaitable[None]]
) -> T:
    """Carry steps out, one after the other, over asyncio."""
    came_of_it: Any = None
    failed: Exception | None = None
    while True:
        try:
            step = steps.send(came_of_it) if failed is None else steps.throw(failed)
        except StopIteration as end:
            return cast("T", end.value)
        came_of_it = failed = None
        match step:
            case Call(method, request, timeout):
                try:
                    with limiter.place():
                        came_of_it = await getattr(stub, method)(request, timeout=timeout)
                except (TooBusy, grpc.RpcError) as error:
                    failed = _failed(error)
                except grpc.aio.UsageError as error:
                    failed = _closed(error)
                except asyncio.CancelledError as error:
                    # gRPC raises it for a channel that is closed meanwhile, too.
                    task = asyncio.current_task()
                    if task is None or task.cancelling():
                        raise
                    failed = _closed(error)
            case Pause(seconds):
                await sleep(seconds)
            case Local(work):
                came_of_it = await work()


def carry_out_here(steps: Steps[T], stub: Any, limiter: Limiter, sleep: Callable[[float], None]) -> T:
    """Carry steps out, one after the other, in this thread."""
    came_of_it: Any = None
    failed: Exception | None = None
    while True:
        try:
            step = steps.send(came_of_it) if failed is None else steps.throw(failed)
        except StopIteration as end:
            return cast("T", end.value)
        came_of_it = failed = None
        match step:
            case Call(method, request, timeout):
                try:
                    with limiter.place():
                        came_of_it = getattr(stub, method)(request, timeout=timeout)
                except (TooBusy, grpc.RpcError) as error:
                    failed = _failed(error)
                except ValueError as error:  # all that gRPC says of a channel that is closed
                    failed = _closed(error)
            case Pause(seconds):
                sleep(seconds)
            case Local(work):
                came_of_it = work()


def _failed(error: TooBusy | grpc.RpcError) -> Exception:
    if isinstance(error, TooBusy):
        return error
    failed = meaning(error)
    failed.__cause__ = error
    return failed


def _closed(error: BaseException) -> ClaimRefused:
    failed = ClaimRefused("the channel is closed: keep it open for as long as its client is used", CLOSED)
    failed.__cause__ = error
    return failed
