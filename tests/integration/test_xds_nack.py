"""Rejections by a real Envoy: the culprit is held, named or not, and everything else arrives."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pb.envoy.config.listener.v3 import listener_pb2
from pb.envoy.extensions.transport_sockets.tls.v3 import secret_pb2, tls_pb2
from tests.certificates import Authority, Identity
from tests.conftest import StartEnvoy
from tests.conversation import Variant
from tests.integration.real_configuration import bootstrap, cluster, endpoints, listener, routes
from tests.integration.test_xds_envoy import ControlPlane, answers, control_plane, each_variant, upstreams
from tests.processes import eventually
from xds.resource import LISTENER, ROUTE, SECRET, Resource

__all__ = ["control_plane", "upstreams"]


def secret(name: str, identity: Identity | None) -> Resource:
    """Make a certificate with its key, or one that is none."""
    message = secret_pb2.Secret(name=name)
    certificate = message.tls_certificate
    certificate.certificate_chain.inline_string = identity.cert.read_text() if identity else "no certificate"
    certificate.private_key.inline_string = identity.key.read_text() if identity else "no key"
    return Resource.of(SECRET, name, message)


def tls_listener(name: str, port: int, route: str, secret_name: str) -> Resource:
    """Make an HTTPS listener whose certificate comes over SDS."""
    message: Any = listener_pb2.Listener.FromString(listener(name, port, route).body)
    context: Any = tls_pb2.DownstreamTlsContext()
    source: Any = context.common_tls_context.tls_certificate_sds_secret_configs.add(name=secret_name)
    source.sds_config.ads.SetInParent()
    source.sds_config.resource_api_version = 2
    socket_of = message.filter_chains[0].transport_socket
    socket_of.name = "tls"
    socket_of.typed_config.Pack(context)
    return Resource.of(LISTENER, name, message, [(ROUTE, route), (SECRET, secret_name)])


async def certificate_on(port: int) -> bytes | None:
    """Return the certificate that a listener shows, None while it shows none."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(2):
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    except (OSError, TimeoutError):
        return None
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return bytes(shown)


async def shows(port: int, identity: Identity) -> None:
    wanted = ssl.PEM_cert_to_DER_cert(identity.cert.read_text())

    async def look() -> bool:
        return await certificate_on(port) == wanted

    await eventually(look, f"the certificate {identity.cert.name} on {port}")


@each_variant
async def test_rule_65_secrets_are_renewed_and_a_culprit_without_a_name_is_isolated(
    variant: Variant,
    control_plane: ControlPlane,
    envoy: StartEnvoy,
    upstreams: list[int],
    free_port: Callable[[], int],
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path)
    ports = [free_port() for _ in range(4)]
    names = [f"s{number}" for number in range(4)]
    first = [authority.issue(f"first-{name}", "one.test") for name in names]
    second = [authority.issue(f"second-{name}", "two.test") for name in names]
    base = [cluster("a"), endpoints("a", upstreams[0]), routes("r", "a")]
    base += [tls_listener(f"l-{name}", port, "r", name) for name, port in zip(names, ports, strict=True)]
    control_plane.publish(*base, *(secret(name, one) for name, one in zip(names, first, strict=True)))
    await envoy(bootstrap(variant, control_plane.port))
    for port, identity in zip(ports, first, strict=True):
        await shows(port, identity)
    renewed: list[Identity | None] = list(second)
    renewed[2] = None
    control_plane.publish(*base, *(secret(name, one) for name, one in zip(names, renewed, strict=True)))
    for number in (0, 1, 3):
        await shows(ports[number], second[number])
    node = control_plane.node()
    assert node is not None
    status = node.types[SECRET]
    assert control_plane.server is not None

    async def found() -> bool:
        assert control_plane.server is not None
        return [record.key for _, record in control_plane.server.holds.held()] == [(SECRET, "s2")]

    await eventually(found, "the culprit to be found")
    # Four suspects: the first rejection, and two by halving.
    assert 1 <= status.nacks <= 3
    assert status.last_nack is not None
    assert "s2" not in status.last_nack.message
    # The old certificate is still in use; a good one takes its place.
    await shows(ports[2], first[2])
    renewed[2] = second[2]
    revision = control_plane.publish(
        *base, *(secret(name, one) for name, one in zip(names, renewed, strict=True))
    )
    await shows(ports[2], second[2])
    await control_plane.settled(revision)


@each_variant
async def test_a_taken_port_stays_with_the_node_and_is_tried_again(
    variant: Variant,
    control_plane: ControlPlane,
    envoy: StartEnvoy,
    upstreams: list[int],
    free_port: Callable[[], int],
) -> None:
    a = upstreams[0]
    free = free_port()
    base = [cluster("a"), endpoints("a", a), routes("r", "a"), listener("free", free, "r")]
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        revision = control_plane.publish(*base, listener("taken", taken, "r"))
        await envoy(bootstrap(variant, control_plane.port))
        await answers(free, a)

        async def refused() -> bool:
            node = control_plane.node()
            return node is not None and LISTENER in node.types and node.types[LISTENER].last_nack is not None

        await eventually(refused, "the listener to be rejected")
    node = control_plane.node()
    assert node is not None
    assert control_plane.server is not None
    nack = node.types[LISTENER].last_nack
    assert nack is not None
    assert nack.names == ("taken",)
    assert "Address already in use" in nack.message
    assert list(control_plane.server.holds.held()) == []
    # Half a minute later at the earliest; we don't wait for it.
    control_plane.elapse(31.0)
    await answers(taken, a)
    await control_plane.settled(revision)
    assert node.types[LISTENER].nacks == 1
