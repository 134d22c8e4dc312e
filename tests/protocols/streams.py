"""A stream both ways at once, as Git over SSH is carried: a cell that echoes it, and a client that checks it.

`tests/proofs/git_stream.py` sends a gigabyte, the tests less.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

from aiohttp import ClientSession, web

PIECE = 1 << 18


def noise(size: int, seed: int = 7) -> bytes:
    """Make bytes that nothing compresses, the same every time."""
    return random.Random(seed).randbytes(size)


async def echo_stream(request: web.Request) -> web.StreamResponse:
    """Answer before anything is sent, and then with whatever is, as it comes."""
    answer = web.StreamResponse(headers={"content-type": "application/x-git-stream"})
    await answer.prepare(request)
    async for piece in request.content.iter_any():
        await answer.write(piece)
    await answer.write_eof()
    return answer


async def send_through(client: ClientSession, path: str, size: int) -> int:
    """Send that many bytes and read them back meanwhile; give how many came back, all as they were."""
    piece = noise(PIECE)
    assert size % PIECE == 0

    async def body() -> AsyncIterator[bytes]:
        for _ in range(size // PIECE):
            yield piece

    received = 0
    async with client.post(path, data=body()) as answer:
        assert answer.status == 200
        async for part in answer.content.iter_any():
            at = received % PIECE
            wanted = (piece[at:] + piece * (len(part) // PIECE + 1))[: len(part)]
            assert part == wanted, f"at byte {received}"
            received += len(part)
    return received


async def talk(client: ClientSession, path: str, words: list[bytes]) -> list[bytes]:
    """Send each word only after the one before has come back."""
    said: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=1)
    heard: list[bytes] = []

    async def body() -> AsyncIterator[bytes]:
        while (word := await said.get()) is not None:
            yield word

    await said.put(words[0])  # aiohttp sends the head of a request with the first piece of its body
    async with client.post(path, data=body(), headers={"git-protocol": "version=2"}) as answer:
        for word, following in zip(words, [*words[1:], None], strict=True):
            heard.append(await answer.content.readexactly(len(word)))
            await said.put(following)
        assert await answer.content.read() == b""
    return heard
