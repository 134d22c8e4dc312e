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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Never, TypeVar, cast

import click
import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from cellplane.cli.outcome import Exit, fail, refuse
from cellplane.settings import SettingsError, TlsFiles
from topology.call_words import plain
from topology.model import Problem, Stamp

T = TypeVar("T")

CALL_SECONDS: Final = 15.0
_EXITS: Final = {
    grpc.StatusCode.NOT_FOUND: Exit.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS: Exit.REFUSED,
    grpc.StatusCode.FAILED_PRECONDITION: Exit.REFUSED,
    grpc.StatusCode.INVALID_ARGUMENT: Exit.REFUSED,
    grpc.StatusCode.PERMISSION_DENIED: Exit.REFUSED,
    grpc.StatusCode.UNAUTHENTICATED: Exit.REFUSED,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Exit.REFUSED,
    grpc.StatusCode.OUT_OF_RANGE: Exit.NOT_FOUND,
    grpc.StatusCode.ABORTED: Exit.CONFLICT,
    grpc.StatusCode.UNAVAILABLE: Exit.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: Exit.UNAVAILABLE,
}
_TEMPORARY: Final = ("CLAIM_LEASED", "LEASES_OPEN", "OWNER_MOVING", "OWNER_EPOCH")
MENDING: Final = (
    "Write a cell's record anew with `cellplane cells add --id ID … --mend`; delete any other key with "
    "`etcdctl del KEY`. A control plane that knew a cell before its record turned bad keeps serving it."
)
# What to do next, by the reason of an error.
_HINTS: Final = {
    "ACCESS_DENIED": "Show the certificate of somebody who may, with --topology-cert and --topology-key.",
    "CELL_UNREADABLE": MENDING,
    "NOT_FOUND": "`cellplane cells list` and `cellplane claims list` show what is there.",
    "MOVE_UNKNOWN": "`cellplane moves list --all` shows those on record.",
    "OVERTAKEN": "Look at it, and run the command again if you still want it.",
    "LEASES_OPEN": "`cellplane claims leases --cell ID` shows since when; its cell closes them.",
    "OWNER_MOVING": "`cellplane moves list` and `cellplane claims owner OWNER` show what holds it.",
    "OWNER_EPOCH": "`cellplane claims owner OWNER` shows where it is, and at which epoch.",
    "STORE_UNAVAILABLE": "The service does not reach its store; nothing can be changed until it does.",
}
_CHANNEL_OPTIONS: Final = (("grpc.max_receive_message_length", -1), ("grpc.max_metadata_size", 64 * 1024))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """How to reach the service."""

    address: str
    tls: TlsFiles

    def channel(self) -> grpc.Channel:
        """Open a channel; nothing is sent before its first use."""
        if not self.tls.given:
            return grpc.insecure_channel(self.address, _CHANNEL_OPTIONS)
        ca, key, cert = (
            path.read_bytes() if path else None for path in (self.tls.ca, self.tls.key, self.tls.cert)
        )
        return grpc.secure_channel(
            self.address, grpc.ssl_channel_credentials(ca, key, cert), _CHANNEL_OPTIONS
        )


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
        address = arguments.pop("topology_address")
        if not address or address.startswith(("http://", "https://")):
            fail(Exit.USAGE, f"--topology {address!r} is no address; write HOST:PORT, without http://.")
        arguments["service"] = ServiceSettings(address=address, tls=tls)
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


def identity() -> tuple[tuple[str, str | bytes], ...]:
    """Return who says to be doing this, which counts only where the service verifies nobody."""
    # Plain metadata is printable ASCII and nothing else; names are not.
    return (("x-cellplane-user-bin", _user().encode()),)


def stamp(reason: str) -> Stamp:
    """Return who does this now, and why, for a record that the service stamps anew."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Stamp(updated_by=_user(), updated_at=now, reason=reason)


def _user() -> str:
    return os.environ.get("CELLPLANE_USER") or f"{getpass.getuser()}@{socket.gethostname()}"


def reason_of(error: grpc.RpcError) -> str:
    """Give the reason that programs read in an error; empty where it has none."""
    return str(_details(cast("grpc.Call", error))[0].reason)


def _end(service: ServiceSettings, error: grpc.RpcError) -> Never:
    failed = cast("grpc.Call", error)  # of a call that fails, the error is the call
    code, words = failed.code(), plain(failed.details() or "no reason given")
    info, problems = _details(failed)
    if code is grpc.StatusCode.UNAVAILABLE and not info.reason:
        fail(
            Exit.UNAVAILABLE,
            f"the Topology Service does not answer at {service.address}: {words.rstrip('.')}.",
            "Name the right address with --topology or CELLPLANE_TOPOLOGY; `cellplane topology` runs one, "
            "`cellplane control-plane --topology-listen` brings one along.",
        )
    if code is grpc.StatusCode.DEADLINE_EXCEEDED and not info.reason:
        fail(
            Exit.UNAVAILABLE,
            f"the Topology Service at {service.address} did not answer in time.",
            "What was asked for may have been done all the same: look before you try again.",
        )
    if code is grpc.StatusCode.UNIMPLEMENTED:
        fail(
            Exit.FAILED,
            f"{service.address} does not know what it is asked: {words}.",
            "It is another kind of server, or a Topology Service of an older release: name the right address "
            "with --topology or CELLPLANE_TOPOLOGY, or bring the service up to date.",
        )
    for line in info.metadata.get("done", "").splitlines():
        click.echo(f"done before: {line}", err=True)
    what = info.metadata.get("what", "")
    if info.reason == "OVERTAKEN":
        lines = "\n".join(f"  {line}" for line in info.metadata.get("changes", "").splitlines())
        key = info.metadata.get("key", "it")
        words = (
            f"{what or 'the change'} was not done: somebody else changed {key} meanwhile; it was left alone"
        )
        fail(Exit.CONFLICT, f"{words}.\n{lines}", _HINTS["OVERTAKEN"])
    if problems and what:
        refuse(problems, what, already=bool(info.metadata.get("done")))
    exit_code = Exit.CONFLICT if info.reason in _TEMPORARY else _EXITS.get(code, Exit.FAILED)
    fail(exit_code, f"{words.rstrip('.')}.", _HINTS.get(info.reason, ""))


def _details(error: grpc.Call) -> tuple[error_details_pb2.ErrorInfo, tuple[Problem, ...]]:
    """Take an error apart: why, for programs, and what is wrong with which field."""
    status = rpc_status.from_call(error)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details if status is not None else ():
        if not detail.Unpack(info):
            detail.Unpack(bad)
    return info, tuple(Problem(field=each.field, message=each.description) for each in bad.field_violations)
