"""The API told to whoever asks, as grpcurl does; an open conversation ends when the server goes away.

The server registers it. grpcio's own way to add one takes this server for one of threads: each conversation
then holds one of a few threads, and nothing ends it. Beside `Request -> ClassificationKey -> Decision`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from grpc_reflection.v1alpha import reflection, reflection_pb2

from topology.service.failure import Failure
from topology.service.gate import Context
from topology.service.open_watches import OpenWatches


class Reflection(reflection.aio.ReflectionServicer):
    """Tells the API of services by their names."""

    def __init__(self, services: tuple[str, ...]) -> None:
        super().__init__((*services, reflection.SERVICE_NAME))
        self._conversations = OpenWatches()

    def end(self) -> None:
        """Take no more questions."""
        self._conversations.end()

    async def ServerReflectionInfo(  # type: ignore[override]  # the stubs take it for a coroutine
        self, questions: AsyncIterator[reflection_pb2.ServerReflectionRequest], context: Context
    ) -> AsyncIterator[reflection_pb2.ServerReflectionResponse]:
        answers: Any = super().ServerReflectionInfo(self._until_the_end(questions), context)
        async for answer in answers:
            yield answer

    async def _until_the_end(
        self, questions: AsyncIterator[reflection_pb2.ServerReflectionRequest]
    ) -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
        with suppress(StopAsyncIteration, Failure):
            while True:
                yield await self._conversations.waiting(anext(questions))
