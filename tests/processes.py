"""Servers as child processes of a test: started, awaited until they answer, signalled, gone with the test.

`EtcdServer` and `EnvoyProcess` are made of it. Never sleeps for a fixed time: it polls until a deadline, the
longer it has waited the less often, so that on a busy machine the questions do not become the load.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")


def _pause(began: float, least: float = 0.02) -> float:
    """Give how long to wait before the next look: a tenth of what has been waited, within bounds."""
    return max(least, min(0.2, (time.monotonic() - began) / 10))


class NotReadyError(AssertionError):
    """A server did not answer in time, or died; carries the end of its log."""


async def eventually(
    look: Callable[[], Awaitable[Found]], wanted: str, within: float = 30.0, every: float = 0.02
) -> Found:
    """Call `look` until it gives something true, and return that; fail with the last thing seen.

    `every` is the shortest pause between two looks.
    """
    seen: Found | None = None
    try:
        async with asyncio.timeout(within):
            began = time.monotonic()
            while not (seen := await look()):
                await asyncio.sleep(_pause(began, every))
            return seen
    except TimeoutError:
        raise AssertionError(f"waited {within} s for {wanted}; last seen: {seen!r}") from None


class Child:
    """One program that runs beside the test. Start it in the main thread: it is killed when that ends."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.command = tuple(command)
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise AssertionError(f"{self.command[0]} has not been started")
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return None if self._process is None else self._process.poll()

    def spawn(self) -> None:
        if self.running:
            raise AssertionError(f"{self.command[0]} runs already")
        setpriv = shutil.which("setpriv")
        guard = (setpriv, "--pdeathsig", "KILL") if setpriv else ()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([*guard, *self.command], stdout=log, stderr=log)

    async def ready(self, answers: Callable[[], Awaitable[bool]], within: float = 60.0) -> None:
        """Wait until the server answers; stop at once when it dies."""
        try:
            async with asyncio.timeout(within):
                began = time.monotonic()
                while self.running:
                    if await answers():
                        return
                    await asyncio.sleep(_pause(began))
        except TimeoutError:
            raise NotReadyError(
                f"{self.command[0]} did not answer within {within} s\n{self.log_tail()}"
            ) from None
        raise NotReadyError(f"{self.command[0]} ended with {self.returncode}\n{self.log_tail()}")

    async def stop(self, grace: float = 5.0) -> None:
        """Ask it to end, and kill it when it does not within the grace. Harmless when it has ended."""
        if self.running:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._ended()
        await self.kill()

    async def kill(self) -> None:
        if self.running:
            self.signal(signal.SIGKILL)
        await self._ended()

    def pause(self) -> None:
        """Freeze it: its sockets stay open and nothing answers."""
        self.signal(signal.SIGSTOP)
        # Its threads stop in their own time, and one may answer yet.
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise AssertionError(f"{self.command[0]} has not been started")
        self._process.send_signal(number)

    def log_tail(self, lines: int = 40) -> str:
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    async def _ended(self) -> None:
        while self.running:
            await asyncio.sleep(0.005)
