"""The ClientStatusDiscoveryService: what each connected node was sent, and what it made of it.

The server offers it beside xDS and lends it its open streams (`Snapshot -> Response`, read from outside). It
never tells the content of secrets, and with mutual TLS answers only those whom the options name.
https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/status/v3/csds.proto
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from typing import Any, Final, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from grpc import aio

from pb.envoy.admin.v3 import config_dump_shared_pb2
from pb.envoy.service.status.v3 import csds_pb2
from xds.client_status import ResourceStatus, Served, Standing, statuses
from xds.nodes import Identity, Node
from xds.resource import SECRET
from xds.tls import identity

SERVICE: Final = "envoy.service.status.v3.ClientStatusDiscoveryService"

Context: TypeAlias = aio.ServicerContext[Any, Any]
_Client = config_dump_shared_pb2.ClientResourceStatus
_WORDS: Final = {
    Standing.SYNCED: (csds_pb2.SYNCED, _Client.ACKED),
    Standing.STALE: (csds_pb2.STALE, _Client.REQUESTED),
    Standing.ERROR: (csds_pb2.ERROR, _Client.NACKED),
    Standing.NOT_SENT: (csds_pb2.NOT_SENT, _Client.REQUESTED),
    Standing.ABSENT: (csds_pb2.NOT_SENT, _Client.DOES_NOT_EXIST),
}


class ClientStatusService:
    """Answers from the open streams."""

    def __init__(self, served: Callable[[], Iterable[Served]], readers: Collection[str]) -> None:
        self._served = served
        self._readers = readers

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what the server registers."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "StreamClientStatus": grpc.stream_stream_rpc_method_handler(self._stream),
                "FetchClientStatus": grpc.unary_unary_rpc_method_handler(self._fetch),
            },
        )

    async def _stream(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for request in requests:
            yield await self._fetch(request, context)

    async def _fetch(self, message: bytes, context: Context) -> bytes:
        if not self._may_read(identity(context.auth_context())):
            await context.abort(
                grpc.StatusCode.PERMISSION_DENIED, "this identity may not read clients' status"
            )
        try:
            request = csds_pb2.ClientStatusRequest.FromString(message)
        except DecodeError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"this is no ClientStatusRequest: {error}")
        if problem := _unserved(request):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, problem)
        response: Any = csds_pb2.ClientStatusResponse()
        for served in tuple(self._served()):
            if not request.node_matchers or any(_matches(one, served.node) for one in request.node_matchers):
                _fill(response.config.add(), served, bodies=not request.exclude_resource_contents)
                # One node's share may be large, and streams must not wait for all of them.
                await asyncio.sleep(0)
        return bytes(response.SerializeToString())

    def _may_read(self, who: Identity | None) -> bool:
        """Without mutual TLS whoever connects is served configuration anyway."""
        if who is None:
            return True
        return any(name in self._readers for name in (who.common_name, *who.uris, *who.dns_names))


def _unserved(request: Any) -> str:
    for matcher in request.node_matchers:
        if matcher.node_metadatas:
            return "nodes are matched by node_id; node_metadatas is not served"
        if matcher.HasField("node_id") and matcher.node_id.WhichOneof("match_pattern") not in _PATTERNS:
            return f"node_id is matched by one of {', '.join(_PATTERNS)}"
    return ""


_PATTERNS: Final[dict[str, Callable[[str, str], bool]]] = {
    "exact": str.__eq__,
    "prefix": str.startswith,
    "suffix": str.endswith,
    "contains": str.__contains__,
}


def _matches(matcher: Any, node: Node) -> bool:
    if not matcher.HasField("node_id"):
        return True
    pattern = matcher.node_id.WhichOneof("match_pattern")
    name, wanted = node.id, getattr(matcher.node_id, pattern)
    if matcher.node_id.ignore_case:
        name, wanted = name.lower(), wanted.lower()
    return _PATTERNS[pattern](name, wanted)


def _fill(config: Any, served: Served, bodies: bool) -> None:
    config.node.id = served.node.id
    config.node.cluster = served.node.cluster
    config.node.user_agent_name = served.node.user_agent_name
    config.node.user_agent_version = served.node.user_agent_version
    config.client_scope = f"{served.group} {served.variant}"
    for status in statuses(served.stream):
        _fill_resource(config.generic_xds_configs.add(), status, bodies)


def _fill_resource(config: Any, status: ResourceStatus, bodies: bool) -> None:
    config.type_url, config.name = status.type.type_url, status.name
    config.config_status, config.client_status = _WORDS[status.standing]
    wanted = status.wanted
    if wanted is None:
        return
    config.version_info = wanted.version
    # A secret's body is its key.
    shown = bodies and status.type is not SECRET
    if shown:
        config.xds_config.type_url, config.xds_config.value = status.type.type_url, wanted.body
    if status.standing is Standing.ERROR:
        config.error_state.details = status.message
        config.error_state.version_info = wanted.version
        if shown:
            config.error_state.failed_configuration.CopyFrom(config.xds_config)
