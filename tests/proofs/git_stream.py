"""Git over SSH, carried as one HTTP request: a gigabyte goes through the edge both ways at once and comes
back as it was sent, while Envoy's memory grows by less than 16 MiB. So does a push of 512 MiB by `git`.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.protocols.cells import edge_of
from tests.protocols.git_cell import SETTINGS, bare_repository, git_cell
from tests.protocols.programs import memory_peak_kib, run_program
from tests.protocols.streams import PIECE, echo_stream, noise, send_through
from tests.prove import Steps

STREAM = 1 << 30
PUSH = 512 << 20
MOST_KIB = 16 << 10
AUTHOR = {
    f"GIT_{who}_{what}": "a@gitlab.test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
}


async def nobody(_: web.Request) -> web.Response:
    return web.Response(status=404)


async def stream() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        async with edge_of(Path(folder), nobody, echo_stream) as (edge, client):
            path = "/globex/web.git/ssh-receive-pack"
            await send_through(client, path, 1 << 20)
            before, began = memory_peak_kib(edge.envoy.pid), time.monotonic()
            received = await send_through(client, path, STREAM)
            seconds = time.monotonic() - began
            return _found(received, seconds, before, memory_peak_kib(edge.envoy.pid))


async def push() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        await bare_repository(folder / "two" / "globex" / "web.git")
        async with edge_of(folder, nobody, git_cell(folder / "two")) as (edge, _):

            async def git(*arguments: str) -> str:
                work = str(folder / "work")
                return await run_program(
                    "git", "-C", work, *arguments, environment={**SETTINGS, **AUTHOR}, within=300
                )

            (folder / "work").mkdir()
            await git("init", "--quiet", "--initial-branch=main")
            (folder / "work" / "big").write_bytes(b"".join(noise(PIECE, at) for at in range(PUSH // PIECE)))
            await git("add", "big")
            await git("commit", "--quiet", "-m", "big")
            url = f"http://127.0.0.1:{edge.port}/globex/web.git"
            before, began = memory_peak_kib(edge.envoy.pid), time.monotonic()
            await git("push", "--quiet", url, "main")
            seconds = time.monotonic() - began
            here, there = await git("rev-parse", "HEAD"), await git("ls-remote", url, "main")
            assert there.split()[0] == here.strip()
            return _found(PUSH, seconds, before, memory_peak_kib(edge.envoy.pid))


def _found(size: int, seconds: float, before: int, after: int) -> dict[str, Any]:
    return {"mib": size >> 20, "seconds": round(seconds, 1), "envoy_grew_kib": after - before}


async def prove(steps: Steps) -> Mapping[str, Any]:
    """Send both, and look at what Envoy took."""
    assert shutil.which("git"), "there is no git: make tools"
    streamed = await steps.step("a gigabyte both ways", stream)
    pushed = await steps.step("a push", push)
    assert streamed["mib"] == STREAM >> 20
    for found in (streamed, pushed):
        assert found["envoy_grew_kib"] < MOST_KIB, found
    return {"stream": streamed, "push": pushed}
