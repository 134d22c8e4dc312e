"""The `adapter.Adapter` service by which the public xds-test-harness sets what a server under test has.

Its messages are described here, in Python, and not in `proto/`: what is there is generated into `pb/` and
shipped with the package, and nobody who installs it has a use for this. Names and numbers are the harness'.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

import grpc
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from grpc import aio

PACKAGE: Final = "adapter"
SERVICE: Final = "adapter.Adapter"

_FIELD = descriptor_pb2.FieldDescriptorProto
_SUCCESS = (("success", _FIELD.TYPE_BOOL),)
_NODE = ("node", _FIELD.TYPE_STRING)

# The fields of each message, numbered from 1 in this order.
MESSAGES: Final[Mapping[str, tuple[tuple[str, int], ...]]] = {
    "SetStateRequest": (_NODE, ("version", _FIELD.TYPE_STRING), ("resources", _FIELD.TYPE_MESSAGE)),
    "SetStateResponse": _SUCCESS,
    "ClearStateRequest": (_NODE,),
    "ClearStateResponse": (("response", _FIELD.TYPE_STRING),),
    "ResourceRequest": (
        _NODE,
        ("typeUrl", _FIELD.TYPE_STRING),
        ("resourceName", _FIELD.TYPE_STRING),
        ("version", _FIELD.TYPE_STRING),
    ),
    "UpdateResourceResponse": _SUCCESS,
    "AddResourceResponse": _SUCCESS,
    "RemoveResourceResponse": _SUCCESS,
}
METHODS: Final = {
    "SetState": ("SetStateRequest", "SetStateResponse"),
    "ClearState": ("ClearStateRequest", "ClearStateResponse"),
    "UpdateResource": ("ResourceRequest", "UpdateResourceResponse"),
    "AddResource": ("ResourceRequest", "AddResourceResponse"),
    "RemoveResource": ("ResourceRequest", "RemoveResourceResponse"),
}

Handler = Callable[[Any, aio.ServicerContext[Any, Any]], Awaitable[Any]]


def _described() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="adapter/adapter.proto", package=PACKAGE, syntax="proto3")
    file.dependency.append(any_pb2.DESCRIPTOR.name)
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (label, kind) in enumerate(fields, 1):
            one = message.field.add(name=label, number=number, label=_FIELD.LABEL_OPTIONAL)
            one.type = kind  # type: ignore[assignment]
            if kind == _FIELD.TYPE_MESSAGE:
                one.label, one.type_name = _FIELD.LABEL_REPEATED, ".google.protobuf.Any"
    service = file.service.add(name="Adapter")
    for name, (request, response) in METHODS.items():
        service.method.add(name=name, input_type=f".adapter.{request}", output_type=f".adapter.{response}")
    return file


_POOL = descriptor_pool.Default()
_POOL.Add(_described())
_CLASSES = message_factory.GetMessageClassesForFiles(["adapter/adapter.proto"], _POOL)


def message(name: str, **fields: Any) -> Any:
    """Make one of the messages."""
    return _CLASSES[f"{PACKAGE}.{name}"](**fields)


class Reply(NamedTuple):
    """A method's messages, by class."""

    request: Any
    response: Any


def _of(method: str) -> Reply:
    request, response = METHODS[method]
    return Reply(_CLASSES[f"{PACKAGE}.{request}"], _CLASSES[f"{PACKAGE}.{response}"])


def handlers(methods: Mapping[str, Handler]) -> grpc.GenericRpcHandler:
    """Return what a server needs to serve these methods."""
    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            name: grpc.unary_unary_rpc_method_handler(
                method,
                request_deserializer=_of(name).request.FromString,
                response_serializer=_of(name).response.SerializeToString,
            )
            for name, method in methods.items()
        },
    )


async def call(channel: aio.Channel, method: str, **fields: Any) -> Any:
    """Call a method and return its answer."""
    types = _of(method)
    ask = channel.unary_unary(
        f"/{SERVICE}/{method}",
        request_serializer=types.request.SerializeToString,
        response_deserializer=types.response.FromString,
    )
    return await ask(types.request(**fields))
