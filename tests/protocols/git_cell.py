"""A cell that serves Git over HTTP: `git http-backend`, run for each request."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from tests.protocols.cells import Handler
from tests.protocols.programs import LEAST, run_program

PIECE = 65_536
SETTINGS = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "core.compression",
    "GIT_CONFIG_VALUE_0": "0",
}
"""Nothing of the machine's own, and no time spent on compressing what is sent as it is."""


async def bare_repository(folder: Path) -> None:
    await run_program("git", "init", "--quiet", "--bare", "--initial-branch=main", str(folder))


def git_cell(root: Path) -> Handler:
    """Serve the repositories below a folder; whoever comes may push."""

    async def serve(request: web.Request) -> web.StreamResponse:
        process = await asyncio.create_subprocess_exec(
            "git",
            "http-backend",
            env=_cgi(root, request),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin
        assert process.stdout
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_feed(request, process.stdin))
                return await _answer(request, process.stdout)
        except BaseException:
            process.kill()
            raise
        finally:
            await process.wait()

    return serve


def _cgi(root: Path, request: web.Request) -> Mapping[str, str]:
    headers = request.headers
    found = {
        **LEAST,
        **SETTINGS,
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "REQUEST_METHOD": request.method,
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query_string,
        "CONTENT_TYPE": headers.get("content-type", ""),
        "REMOTE_USER": "somebody",
        "GIT_PROTOCOL": headers.get("git-protocol", ""),
        "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
    }
    if "content-length" in headers:
        found["CONTENT_LENGTH"] = headers["content-length"]
    return found


async def _feed(request: web.Request, stdin: asyncio.StreamWriter) -> None:
    async for piece in request.content.iter_any():
        stdin.write(piece)
        await stdin.drain()
    stdin.close()


async def _answer(request: web.Request, stdout: asyncio.StreamReader) -> web.StreamResponse:
    head = (await stdout.readuntil(b"\r\n\r\n")).decode().splitlines()
    fields = dict(line.split(": ", 1) for line in head if line)
    answer = web.StreamResponse(status=int(fields.pop("Status", "200").split()[0]), headers=fields)
    await answer.prepare(request)
    while piece := await stdout.read(PIECE):
        await answer.write(piece)
    await answer.write_eof()
    return answer
