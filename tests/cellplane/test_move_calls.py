"""The application called for real: over HTTP by a real server, and as a real command."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiohttp import web

from cellplane.demo.free_port import free_port
from cellplane.move_calls import CalledHooks
from cellplane.move_hooks import Hook
from tests.processes import eventually
from tests.topology.moves.rig import MOVE, wish
from topology.moves.hooks import HookOutcome, No, NotYet, Ready
from topology.moves.model import Step

BODY = "import json, sys; told = json.load(sys.stdin); "


class Application:
    """A server that answers as a test says, and keeps what it was told."""

    def __init__(self) -> None:
        self.status, self.body = 200, ""
        self.pieces: list[str] = []
        self.told: list[tuple[str, str, Any]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        headers = request.headers
        self.told.append((headers["idempotency-key"], headers.get("authorization", ""), await request.json()))
        if not self.pieces:
            return web.Response(status=self.status, text=self.body)
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in self.pieces:
            await response.write(piece.encode())
            await asyncio.sleep(0.05)  # so that it is not sent along with the next
        return response


@pytest.fixture
async def application() -> AsyncIterator[Application]:
    found = Application()
    app = web.Application()
    app.router.add_post("/moves", found.answer)
    runner, port = web.AppRunner(app), free_port()
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    found.url = f"http://127.0.0.1:{port}/moves"
    yield found
    await runner.cleanup()


def is_alive(pid: str) -> bool:
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


async def called(hook: Hook, step: Step = Step.DRAIN) -> HookOutcome:
    return await CalledHooks({step: hook}).call(replace(wish(), step=step))


async def test_it_is_told_what_is_to_be_done(application: Application, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    assert await called(Hook(url=application.url, token_file=token)) == Ready()
    ((key, authorization, body),) = application.told
    assert (key, authorization) == (f"{MOVE}/DRAIN", "Bearer s3cret")
    assert (body["move"], body["step"], body["owners"]) == (
        MOVE, "DRAIN", [{"owner": "ORGANIZATION/42", "epoch": 1}],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "outcome", "words"),
    [
        (200, '{"remaining": 0}', Ready, ""),
        (204, "", Ready, ""),
        (200, "rows equal: 812", Ready, "rows equal: 812"),
        (200, '{"remaining": 3}', NotYet, "says that 3 is remaining"),
        (200, '{"remaining": "many"}', No, "say a number from 0"),
        (202, "copying, 40 %", NotYet, "answered 202: copying, 40 %"),
        (503, "", NotYet, "answered 503"),
        (429, "", NotYet, "answered 429"),
        (409, "line 1\nversions differ", No, "answered 409: versions differ"),
        (302, "", No, "answered 302"),
    ],
)
async def test_over_http(
    application: Application, status: int, body: str, outcome: type[HookOutcome], words: str
) -> None:
    application.status, application.body = status, body
    answer = await called(Hook(url=application.url))
    assert isinstance(answer, outcome)
    assert words in answer.words


async def test_a_server_that_is_away_is_asked_again() -> None:
    answer = await called(Hook(url=f"http://127.0.0.1:{free_port()}/"))
    assert isinstance(answer, NotYet)
    assert "can't be asked" in answer.words


@pytest.mark.parametrize(
    ("program", "outcome", "words"),
    [
        ("print(told['step'])", Ready, "DRAIN"),
        ("print(json.dumps({'remaining': 2}))", NotYet, "2 is remaining"),
        ("print('busy'); sys.exit(75)", NotYet, "ended with 75: busy"),
        ("sys.exit('versions differ')", No, "ended with 1: versions differ"),
        ("print('\\x1b[31mred')", Ready, " [31mred"),
    ],
)
async def test_as_a_command(program: str, outcome: type[HookOutcome], words: str) -> None:
    answer = await called(Hook(command=(sys.executable, "-c", BODY + program)))
    assert isinstance(answer, outcome), answer
    assert words in answer.words


async def test_a_command_that_hangs_is_killed(tmp_path: Path) -> None:
    program = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    answer = await called(Hook(command=(sys.executable, "-c", program), timeout_seconds=1))
    assert isinstance(answer, NotYet)
    assert "did not end within 1 s, and was killed" in answer.words
    assert not is_alive((tmp_path / "pid").read_text())


def test_a_command_need_not_read_what_it_is_told() -> None:
    """On the loop that the service runs on, where writing to one that has ended is an error."""

    async def often() -> list[HookOutcome]:
        return [await called(Hook(command=("/bin/true",))) for _ in range(20)]

    assert uvloop.run(often()) == [Ready()] * 20


async def test_what_a_command_leaves_running_is_not_waited_for(tmp_path: Path) -> None:
    program = f"sleep 60 & echo $! > {tmp_path / 'pid'}; echo begun"
    answer = await called(Hook(command=("/bin/sh", "-c", program)))
    left = (tmp_path / "pid").read_text().strip()
    assert is_alive(left)
    os.kill(int(left), signal.SIGKILL)
    assert answer == Ready("begun")


async def test_what_is_given_up_is_killed_with_all_that_it_has_started(tmp_path: Path) -> None:
    program = f"sleep 60 & echo $! > {tmp_path / 'pid'}; wait"
    answer = await called(Hook(command=("/bin/sh", "-c", program), timeout_seconds=1))
    assert isinstance(answer, NotYet)
    left = (tmp_path / "pid").read_text().strip()

    async def gone() -> bool:
        return not is_alive(left)

    await eventually(gone, "the end of what it had started")


async def test_of_much_that_is_printed_the_end_is_kept() -> None:
    answer = await called(Hook(command=(sys.executable, "-c", "print('x' * 10**7); print('over')")))
    assert answer == Ready("over")


async def test_an_answer_may_come_in_pieces(application: Application) -> None:
    application.pieces = ['{"rema', 'ining": 3}']
    answer = await called(Hook(url=application.url))
    assert isinstance(answer, NotYet)
    assert "3 is remaining" in answer.words


@pytest.mark.parametrize("token", [b"two\nlines", b"\xff"])
async def test_a_token_that_is_none(application: Application, tmp_path: Path, token: bytes) -> None:
    (tmp_path / "token").write_bytes(token)
    answer = await called(Hook(url=application.url, token_file=tmp_path / "token"))
    assert isinstance(answer, No)
    assert "holds no token of one line" in answer.words


async def test_a_command_that_is_not_there() -> None:
    answer = await called(Hook(command=("/nowhere/mover",)))
    assert isinstance(answer, No)
    assert "No such file" in answer.words


async def test_a_step_without_a_hook_is_ready() -> None:
    hooks = CalledHooks({Step.TEST: Hook(url="http://x")})
    assert await hooks.call(wish()) == Ready()
    assert (hooks.told(Step.TEST), hooks.told(Step.PREPARE)) == ("POST http://x", "")
    assert json.dumps(hooks.told(Step.TEST))
