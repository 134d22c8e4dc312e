"""All methods of a server behind one generic handler, which looks the method up by its name.

Services register themselves here as they would at a server. grpc.aio holds a task for each method that is
registered at the server itself, and at each call waits anew for all of them: with 60 methods that was a third
of what a call cost. Stands before `Request -> ClassificationKey -> Decision`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc


class Methods(grpc.GenericRpcHandler):
    """Handlers by the full names of their methods."""

    def __init__(self) -> None:
        self._handlers: dict[str, Any] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Give the handler of a method; None where there is none."""
        return self._handlers.get(handler_call_details.method)

    def taking(self, laid_around: Callable[[str, Any], Any] = lambda _, handler: handler) -> Registrar:
        """Give what services are registered with, each handler with something laid around it."""
        return Registrar(self._handlers, laid_around)


class Registrar:
    """Takes registrations as a server does."""

    def __init__(self, handlers: dict[str, Any], laid_around: Callable[[str, Any], Any]) -> None:
        self._handlers = handlers
        self._laid_around = laid_around

    def add_generic_rpc_handlers(self, _: Sequence[grpc.GenericRpcHandler]) -> None:
        """Leave these out: each of their methods is registered by name as well."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Take the methods of a service."""
        for name, handler in handlers.items():
            method = f"/{service}/{name}"
            self._handlers[method] = self._laid_around(method, handler)
