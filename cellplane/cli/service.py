"""Options that reach the Topology Service, shared by every command that speaks to it, and how calls end.

A call that fails ends the command with one message and the exit code of its kind.
"""

from __future__ import annotations

import functools
import getpass
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Never, TypeVar, cast

import click
import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from cellplane.cli.outcome import Exit, fail
from cellplane.settings import SettingsError, TlsFiles

T = TypeVar("T")

CALL_SECONDS: Final = 15.0
_EXITS: Final = {
    grpc.StatusCode.NOT_FOUND: Exit.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS: Exit.REFUSED,
    grpc.StatusCode.FAILED_PRECONDITION: Exit.REFUSED,
    grpc.StatusCode.INVALID_ARGUMENT: Exit.REFUSED,
    grpc.StatusCode.PERMISSION_DENIED: Exit.REFUSED,
    grpc.StatusCode.ABORTED: Exit.CONFLICT,
    grpc.StatusCode.UNAVAILABLE: Exit.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: Exit.UNAVAILABLE,
}
_TEMPORARY: Final = "CLAIM_LEASED"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """How to reach the service."""

    address: str
    tls: TlsFiles

    def channel(self) -> grpc.Channel:
        """Open a channel; nothing is sent before its first use."""
        if not self.tls.given:
            return grpc.insecure_channel(self.address)
        ca, key, cert = (
            path.read_bytes() if path else None for path in (self.tls.ca, self.tls.key, self.tls.cert)
        )
        return grpc.secure_channel(self.address, grpc.ssl_channel_credentials(ca, key, cert))


_FILE = click.Path(path_type=Path)
_OPTIONS = (
    click.option(
        "--topology",
        "topology_address",
        envvar="CELLPLANE_TOPOLOGY",
        default="127.0.0.1:9095",
        show_default=True,
        metavar="HOST:PORT",
        help="The Topology Service.",
    ),
    click.option(
        "--topology-ca", type=_FILE, envvar="CELLPLANE_TOPOLOGY_CA", help="CA that verifies it; makes it TLS."
    ),
    click.option("--topology-cert", type=_FILE, envvar="CELLPLANE_TOPOLOGY_CERT", help="Our certificate."),
    click.option("--topology-key", type=_FILE, envvar="CELLPLANE_TOPOLOGY_KEY", help="Its key."),
)


def service_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options to a command, which receives them as one argument `service`."""

    @functools.wraps(command)
    def with_settings(**arguments: Any) -> T:
        tls = TlsFiles(
            ca=arguments.pop("topology_ca"),
            cert=arguments.pop("topology_cert"),
            key=arguments.pop("topology_key"),
        )
        try:
            tls.check("topology")
        except SettingsError as error:
            fail(Exit.USAGE, str(error))
        arguments["service"] = ServiceSettings(address=arguments.pop("topology_address"), tls=tls)
        return command(**arguments)

    for option in reversed(_OPTIONS):
        with_settings = option(with_settings)
    return with_settings


def call(service: ServiceSettings, work: Callable[[grpc.Channel], T]) -> T:
    """Do one piece of work over a channel. A call that fails ends the command."""
    with service.channel() as channel:
        try:
            return work(channel)
        except grpc.RpcError as error:
            _end(service, error)


def identity() -> tuple[tuple[str, str], ...]:
    """Return who says to be doing this, which counts only where the service verifies nobody."""
    who = os.environ.get("CELLPLANE_USER") or f"{getpass.getuser()}@{socket.gethostname()}"
    return (("x-cellplane-user", who),)


def _end(service: ServiceSettings, error: grpc.RpcError) -> Never:
    failed = cast("grpc.Call", error)  # of a call that fails, the error is the call
    code, words = failed.code(), failed.details() or "no reason given"
    if code is grpc.StatusCode.UNAVAILABLE and not _reason(failed):
        fail(
            Exit.UNAVAILABLE,
            f"the Topology Service does not answer at {service.address}: {words}.",
            "Name the right address with --topology or CELLPLANE_TOPOLOGY; `cellplane topology` runs one.",
        )
    exit_code = Exit.CONFLICT if _reason(failed) == _TEMPORARY else _EXITS.get(code, Exit.FAILED)
    fail(exit_code, f"{words.rstrip('.')}.")


def _reason(error: grpc.Call) -> str:
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    for detail in status.details if status is not None else ():
        if detail.Unpack(info):
            return str(info.reason)
    return ""
