"""The application is called for a move: over HTTP or as a command, told as JSON what is to be done.

The leader calls through it and reads one of three answers: ready, not yet, no. It keeps nothing between two
calls. Third road: what must be true before a `Txn` is planned.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import aiohttp

from cellplane.move_hooks import Hook
from topology.moves.hooks import HookOutcome, No, NotYet, Ready, call_body
from topology.moves.model import Move, Step

TRY_AGAIN: Final = 75  # EX_TEMPFAIL of sysexits.h
_MOST_WORDS: Final = 300
_MOST_BYTES: Final = 64 * 1024
_LAST_WORDS_SECONDS: Final = 1.0  # for what is on its way when a command has ended


class CalledHooks:
    """The hooks of an installation. A step without one is always ready."""

    def __init__(self, hooks: Mapping[Step, Hook]) -> None:
        self._hooks = hooks

    def told(self, step: Step, /) -> str:
        """Say what is called at a step."""
        return str(self._hooks.get(step, ""))

    async def call(self, move: Move, /) -> HookOutcome:
        """Call what belongs to the move's step."""
        hook = self._hooks.get(move.step)
        if hook is None:
            return Ready()
        body = call_body(move)
        return await (_posted(hook, body) if hook.url else _run(hook, body))


async def _posted(hook: Hook, body: Mapping[str, Any]) -> HookOutcome:
    """Ask over HTTP: 200 or 204 is ready, 202 not yet, any other 4xx than 408, 425 and 429 is no."""
    headers = {"idempotency-key": str(body["key"])}
    try:
        if hook.token_file is not None:
            token = hook.token_file.read_text(encoding="utf-8", errors="replace").strip()
            if not (token.isascii() and token.isprintable()):
                return No(f"{hook} can't be asked: {hook.token_file} holds no token of one line")
            headers["authorization"] = f"Bearer {token}"
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=hook.timeout_seconds)) as session,
            session.post(hook.url, json=body, headers=headers, allow_redirects=False) as answer,
        ):
            said = bytearray()  # it comes in pieces
            while len(said) < _MOST_BYTES and (piece := await answer.content.read(_MOST_BYTES)):
                said += piece
            status = answer.status
    except TimeoutError:
        return NotYet(f"{hook} did not answer within {hook.timeout_seconds} s")
    except (aiohttp.ClientError, OSError) as error:
        return NotYet(f"{hook} can't be asked: {error}")
    words = f"{hook} answered {status}: {_words(bytes(said))}".rstrip(": ")
    if status in (200, 204):
        return _left(hook, bytes(said))
    if status == 202 or status >= 500 or status in (408, 425, 429):
        return NotYet(words)
    return No(words)


class _Command(asyncio.SubprocessProtocol):
    """A command that runs: whether it has ended, and what it printed last."""

    def __init__(self) -> None:
        self.printed = {1: bytearray(), 2: bytearray()}
        self.ended = asyncio.Event()
        self.silent = asyncio.Event()
        self._open = len(self.printed)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        kept = self.printed[fd]
        kept += data
        del kept[:-_MOST_BYTES]

    def pipe_connection_lost(self, fd: int, _: Exception | None) -> None:
        self._open -= fd in self.printed
        if not self._open:
            self.silent.set()

    def process_exited(self) -> None:
        self.ended.set()


async def _run(hook: Hook, body: Mapping[str, Any]) -> HookOutcome:
    """Run a command: ending with 0 is ready, with 75 not yet, else no. What it prints last is kept.

    It is over when it ends, though what it has left running may still hold its output; what is given up is
    killed with all that it has started.
    """
    try:
        with tempfile.TemporaryFile() as told:  # a pipe would break under who ends without reading it
            told.write(json.dumps(body).encode())
            told.seek(0)
            transport, command = await asyncio.get_running_loop().subprocess_exec(
                _Command, *hook.command, stdin=told, start_new_session=True
            )
    except OSError as error:
        return No(f"{hook} can't be run: {error.strerror}")
    try:
        async with asyncio.timeout(hook.timeout_seconds):
            await command.ended.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await command.silent.wait()
    except TimeoutError:
        return NotYet(f"{hook} did not end within {hook.timeout_seconds} s, and was killed")
    finally:
        if not command.ended.is_set():
            with suppress(ProcessLookupError):
                os.killpg(transport.get_pid(), signal.SIGKILL)
            await command.ended.wait()
        transport.close()
    out, complaints = (bytes(command.printed[fd]) for fd in (1, 2))
    status = transport.get_returncode()
    if status == 0:
        return _left(hook, out)
    words = f"{hook} ended with {status}: {_words(complaints or out)}".rstrip(": ")
    return NotYet(words) if status == TRY_AGAIN else No(words)


def _left(hook: Hook, said: bytes) -> HookOutcome:
    """Read what an application says that did as asked: `{"remaining": 3}` means that it is not over."""
    try:
        body = json.loads(said) if said.strip() else {}
    except (ValueError, RecursionError):
        return Ready(_words(said))
    remaining = body.get("remaining", 0) if isinstance(body, dict) else 0
    if not isinstance(remaining, int) or isinstance(remaining, bool) or remaining < 0:
        return No(f"{hook} says that {remaining!r} is remaining: say a number from 0")
    return NotYet(f"{hook} says that {remaining} is remaining") if remaining else Ready(_words(said))


def _words(said: bytes) -> str:
    """Give the last line of what was said, fit to be kept."""
    lines = said.decode(errors="replace").strip().splitlines()
    text = lines[-1] if lines else ""
    return "".join(each if each.isprintable() else " " for each in text)[:_MOST_WORDS]
