"""Child processes of the demo: started in a group of their own, watched, and gone when the demo is gone.

The tour starts etcd, the control plane and Envoy through here; nothing else in the project starts processes
this way. A child never outlives us: it is stopped in order at the end, killed if it will not go, and on
Linux the kernel kills it when the demo itself is killed.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

STOP_SECONDS = 5.0


class ChildFailed(Exception):
    """A child ended before it was ready, or was not ready in time; the message carries the end of its log."""


@dataclass(slots=True)
class Child:
    """One running child and where its output goes."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    @property
    def running(self) -> bool:
        """Say whether the child has not ended."""
        return self.process.returncode is None

    async def kill(self) -> None:
        """End it as a crash would (SIGKILL), and wait until it is gone."""
        self._signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> None:
        """Ask it to end, and kill it if it will not within STOP_SECONDS."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self.process.wait()
        except TimeoutError:
            await self.kill()

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines of its output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _signal(self, number: int) -> None:
        if self.running:
            # The group, so that whatever the child started goes with it.
            os.killpg(self.process.pid, number)


async def start_child(
    name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Child:
    """Start a command in a process group of its own, output appended to `log`."""
    # Where setpriv is at hand (every Linux with util-linux) the kernel kills the child when we are killed.
    setpriv = shutil.which("setpriv")
    guard = (setpriv, "--pdeathsig", "KILL") if setpriv else ()
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *guard,
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
            # A group of its own: Ctrl-C reaches only the demo, which then stops its children in order.
            start_new_session=True,
        )
    return Child(name, process, log)


async def wait_until(
    ready: Callable[[], object], child: Child, seconds: float, what: str, pause_seconds: float = 0.05
) -> None:
    """Wait until `ready()` (which may be a coroutine function) is true, failing as soon as the child has
    ended.
    """
    try:
        async with asyncio.timeout(seconds):
            while True:
                answer = ready()
                if asyncio.iscoroutine(answer):
                    answer = await answer
                if answer:
                    return
                if not child.running:
                    code = child.process.returncode
                    raise ChildFailed(f"{child.name} ended with {code} before {what}:\n{child.log_tail()}")
                await asyncio.sleep(pause_seconds)
    except TimeoutError:
        raise ChildFailed(f"{child.name}: {what} not within {seconds:g} s:\n{child.log_tail()}") from None
