"""An etcd that answers what a test tells it to: for what a real one does only on bad days."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from pb.etcdserverpb import rpc_pb2

Answer = Callable[[Any], Any]


def header(revision: int = 100, cluster: int = 1) -> rpc_pb2.ResponseHeader:
    """Make a response header."""
    return rpc_pb2.ResponseHeader(revision=revision, cluster_id=cluster)


class Failure(Exception):
    """An answer that is an error."""

    def __init__(self, code: grpc.StatusCode, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


class FakeEtcd:
    """Answers each call with the next that was laid out for it; what it was asked is kept, with the metadata.

    The last answer for a call is given again and again. An answer is a message, a `Failure`, or a function of
    the request. A watch answers from its queue; None ends it.
    """

    def __init__(self) -> None:
        self.endpoint = ""
        self.answers: dict[str, list[Any]] = {
            "Range": [rpc_pb2.RangeResponse(header=header())],
            "Txn": [rpc_pb2.TxnResponse(header=header(), succeeded=True)],
            "Status": [rpc_pb2.StatusResponse(header=header(), version="3.5.21")],
            "Authenticate": [rpc_pb2.AuthenticateResponse(header=header(), token="token-1")],
        }
        self.asked: dict[str, list[Any]] = {}
        self.metadata: dict[str, list[dict[str, str]]] = {}
        self.watches: list[asyncio.Queue[Any]] = []
        self.watch_requests: list[rpc_pb2.WatchRequest] = []
        self.stirred = asyncio.Condition()

    def created(self, revision: int = 100, cluster: int = 1) -> rpc_pb2.WatchResponse:
        """Make the first response of a watch."""
        return rpc_pb2.WatchResponse(header=header(revision, cluster), created=True)

    def next_watch(self, *responses: Any) -> asyncio.Queue[Any]:
        """Lay out what the next watch answers; more may be put into the queue later."""
        queue: asyncio.Queue[Any] = asyncio.Queue()
        for response in responses:
            queue.put_nowait(response)
        self.watches.append(queue)
        return queue

    async def unary(self, name: str, request: Any, context: Any) -> Any:
        self._note(name, request, context)
        answers = self.answers[name]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if callable(answer):
            answer = answer(request)
        if asyncio.iscoroutine(answer):
            answer = await answer
        if isinstance(answer, Failure):
            await context.abort(answer.code, answer.words)
        return answer

    async def watch(self, requests: Any, context: Any) -> AsyncIterator[rpc_pb2.WatchResponse]:
        self._note("Watch", None, context)
        self.watch_requests.append(await anext(aiter(requests)))
        queue = self.watches.pop(0)
        async with asyncio.TaskGroup() as tasks:
            listener = tasks.create_task(self._listen(requests))
            while (response := await queue.get()) is not None:
                if isinstance(response, Failure):
                    listener.cancel()
                    await context.abort(response.code, response.words)
                yield response
            listener.cancel()

    async def _listen(self, requests: Any) -> None:
        async for request in requests:
            async with self.stirred:
                self.watch_requests.append(request)
                self.stirred.notify_all()

    def _note(self, name: str, request: Any, context: Any) -> None:
        self.asked.setdefault(name, []).append(request)
        self.metadata.setdefault(name, []).append(
            {key: str(value) for key, value in context.invocation_metadata()}
        )


def _handlers(fake: FakeEtcd) -> list[grpc.GenericRpcHandler]:
    def unary(name: str, request: Any, response: Any) -> grpc.RpcMethodHandler[Any, Any]:
        async def serve(asked: Any, context: Any) -> Any:
            return await fake.unary(name, asked, context)

        return grpc.unary_unary_rpc_method_handler(
            serve, request_deserializer=request.FromString, response_serializer=response.SerializeToString
        )

    services = {
        "KV": {
            "Range": unary("Range", rpc_pb2.RangeRequest, rpc_pb2.RangeResponse),
            "Txn": unary("Txn", rpc_pb2.TxnRequest, rpc_pb2.TxnResponse),
        },
        "Maintenance": {"Status": unary("Status", rpc_pb2.StatusRequest, rpc_pb2.StatusResponse)},
        "Auth": {
            "Authenticate": unary("Authenticate", rpc_pb2.AuthenticateRequest, rpc_pb2.AuthenticateResponse)
        },
        "Watch": {
            "Watch": grpc.stream_stream_rpc_method_handler(
                fake.watch,
                request_deserializer=rpc_pb2.WatchRequest.FromString,
                response_serializer=rpc_pb2.WatchResponse.SerializeToString,
            )
        },
    }
    return [
        grpc.method_handlers_generic_handler(f"etcdserverpb.{service}", methods)
        for service, methods in services.items()
    ]


@asynccontextmanager
async def fake_etcd(port: int = 0) -> AsyncIterator[FakeEtcd]:
    """Serve a fake etcd while the block runs."""
    fake, server = FakeEtcd(), grpc.aio.server()
    server.add_generic_rpc_handlers(tuple(_handlers(fake)))
    fake.endpoint = f"127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}"
    await server.start()
    try:
        yield fake
    finally:
        await server.stop(None)
