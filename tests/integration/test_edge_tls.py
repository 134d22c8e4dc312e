"""TLS of the edge on a real Envoy: certificates that change while it runs, plain HTTP, HTTP/3."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography import x509

from cellplane.demo.free_port import free_port
from cellplane.fleet_node import node_body
from envoy.certificates import KIND, NAME
from envoy.edge import EdgeSettings, EdgeTls
from tests.certificates import Authority, Identity
from tests.envoy.edge_rig import STAMP, Edge, cell, running_edge, send, view_of
from tests.envoy.owners_rig import OVERRIDE, SESSION
from tests.envoy.rule_documents import parsed
from tests.envoy.token_samples import token
from tests.processes import eventually
from tests.protocols.http3 import http3_client
from topology.model import Document
from topology.view import View

TOKEN: dict[str, Any] = {
    "name": "token",
    "type": "match",
    "match": [{"type": "header", "name": "private-token", "as": "value"}],
    "transform": [{"type": "routable-token", "input": "${value}", "output": "token"}],
    "action": {"classify": [{"type": "cell_id", "value": "${token.c}"}]},
}
PRIVATE = ("private-token", token("c:2"))
BROKEN = ("private-token", token("c:2")[:-1] + "-")


@dataclass
class TlsEdge:
    edge: Edge
    authority: Authority
    view: View
    files: Path
    redirect_port: int

    @property
    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority.ca))

    async def serial(self) -> int:
        """Give the number of the certificate that the edge shows a new connection."""
        _, writer = await asyncio.open_connection(
            "127.0.0.1", self.edge.port, ssl=self.trusting, server_hostname="edge.test"
        )
        try:
            shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            return x509.load_der_x509_certificate(shown).serial_number
        finally:
            writer.close()

    async def shows(self, identity: Identity) -> None:
        """Wait until new connections are shown this certificate."""
        wanted = number(identity)

        async def look() -> bool:
            return await self.serial() == wanted

        await eventually(look, f"certificate {wanted} at the edge")

    def told(self) -> dict[str, Any]:
        """Give what the fleet tells of the one Envoy."""
        (node,) = self.edge.server.fleet.nodes()
        return node_body(node, self.edge.server.holds.at_node(node.group, node.node.id))

    async def stands(self, state: str, held: int) -> bool:
        told = self.told()
        return (told["types"]["secret"]["state"], len(told["held"])) == (state, held)


def number(identity: Identity) -> int:
    return x509.load_pem_x509_certificate(identity.cert.read_bytes()).serial_number


def move_in(identity: Identity, folder: Path) -> None:
    """Put a certificate into the place of another: copied beside it, then moved."""
    for source, name in ((identity.cert, "edge.pem"), (identity.key, "edge.key")):
        shutil.copy(source, folder / f"{name}.new")
        (folder / f"{name}.new").replace(folder / name)


@asynccontextmanager
async def tls_edge(folder: Path, *, http3: bool = False) -> AsyncIterator[TlsEdge]:
    authority = Authority(folder / "authority")
    files = folder / "files"
    files.mkdir()
    move_in(authority.issue("first", "edge.test"), files)
    redirect_port = free_port()
    settings = EdgeSettings(
        listen_address="127.0.0.1",
        listen_port=free_port(),
        health_check_path="",
        tls=EdgeTls(
            certificate=str(files / "edge.pem"),
            key=str(files / "edge.key"),
            redirect_port=redirect_port,
            http3=http3,
        ),
    )
    async with running_edge(folder, (1, 2), settings=settings) as edge:
        view = view_of(
            cell(1, ports=edge.ports(1)), cell(2, ports=edge.ports(2), weight=0, session_prefix="cell-2")
        )
        await edge.publish(view)
        await edge.envoy.ready()
        yield TlsEdge(edge, authority, view, files, redirect_port)


async def test_certificates_change_while_it_runs_and_connections_stay(tmp_path: Path) -> None:
    async with tls_edge(tmp_path) as tls:
        kept = await asyncio.open_connection(
            "127.0.0.1", tls.edge.port, ssl=tls.trusting, server_hostname="edge.test"
        )
        # A file that is moved into its place is taken up without a push.
        second = tls.authority.issue("second", "edge.test")
        move_in(second, tls.files)
        await tls.shows(second)
        # One that is no certificate is not, and the last good one is shown.
        (tls.files / "edge.pem.new").write_text("no certificate", encoding="utf-8")
        (tls.files / "edge.pem.new").replace(tls.files / "edge.pem")
        await tls.edge.envoy.until_stat("sds.edge.key_rotation_failed", 1)
        assert await tls.serial() == number(second)
        # A document names other files.
        third = tls.authority.issue("third", "edge.test")
        body = {"schema": 1, "certificate": str(third.cert), "key": str(third.key)}
        document = Document(kind=KIND, name=NAME, body=body, stamp=STAMP)
        await tls.edge.publish(replace(tls.view, revision=8, documents={(KIND, NAME): document}))
        await tls.shows(third)
        await tls.edge.settled(8)
        # Files that are not there are rejected; once they are taken back nothing of it is left but the story.
        lost = {**body, "certificate": "/nowhere/edge.pem"}
        missing = replace(document, body=lost)
        await tls.edge.publish(replace(tls.view, revision=9, documents={(KIND, NAME): missing}))
        await eventually(lambda: tls.stands("REJECTED", 1), "the files to be rejected")
        await tls.edge.publish(replace(tls.view, revision=10, documents={(KIND, NAME): document}))
        await eventually(lambda: tls.stands("SYNCED", 0), "the rejection to be over")
        assert tls.told()["types"]["secret"]["last_nack"] is not None
        assert await tls.serial() == number(third)
        # None of it drained anybody.
        kept[1].write(b"GET / HTTP/1.1\r\nhost: edge.test\r\nconnection: close\r\n\r\n")
        assert (await kept[0].read(15)).startswith(b"HTTP/1.1 200")
        kept[1].close()
        assert await tls.edge.envoy.stat("listener_manager.listener_modified") == 0


async def test_plain_http_is_sent_to_https_and_reaches_no_cell(tmp_path: Path) -> None:
    async with tls_edge(tmp_path) as tls:
        got = await send(tls.redirect_port, "/a/b?c=d", authority="edge.test:8080")
        assert (got.status, got.get("location")) == (308, "https://edge.test/a/b?c=d")
        posted = await send(tls.redirect_port, "/", (("content-length", "0"),), method="POST")
        assert (posted.status, posted.get("location")) == (308, "https://edge.test/")
        assert tls.edge.cells[1].requests == 0
        through = await send(tls.edge.port, "/", tls=tls.trusting)
        assert (through.status, through.all("alt-svc")) == (200, [])
        assert "http3" not in await tls.edge.envoy.admin("/listeners")


async def test_http3_decides_as_the_others_do(tmp_path: Path) -> None:
    session = (("cookie", "_gitlab_session=cell-2-abc"),)
    async with tls_edge(tmp_path, http3=True) as tls:
        told = await send(tls.edge.port, "/", tls=tls.trusting)
        assert told.get("alt-svc") == 'h3=":443"; ma=86400'
        async with http3_client(tls.edge.port, tls.authority.ca) as client:
            plain, owned, overridden, forged = await asyncio.gather(
                client.send("/"),
                client.send("/", session, method="POST", body=b"x" * 100_000),
                client.send("/", (("x-cellplane-override", "cell-2"),)),
                client.send("/", (("X-Cellplane-Cell".lower(), "cell-2"),)),
            )
            assert [each.get("x-cellplane-cell") for each in (plain, owned, overridden, forged)] == [
                "cell-1",
                "cell-2",
                "cell-2",
                "cell-1",
            ]
            # Who is at the other end of the connection is known over QUIC too.
            assert overridden.get("x-cellplane-rule") == "override"
            # A new certificate is for new connections; this one goes on.
            second = tls.authority.issue("second", "edge.test")
            move_in(second, tls.files)
            await tls.shows(second)
            assert (await client.send("/")).status == 200
        async with http3_client(tls.edge.port, tls.authority.ca) as client:
            assert (await client.send("/")).status == 200
            rules = parsed(OVERRIDE, TOKEN, SESSION)
            await tls.edge.publish(replace(tls.view, revision=9), rules)
            await tls.edge.settled(9)
            crumbs = (("cookie", "a=1"), ("cookie", "_gitlab_session=cell-2-abc"), ("cookie", "b=2"))
            twice = (*crumbs, ("cookie", "_gitlab_session=cell-1-abc"))
            found = [
                f"{answer.get('x-cellplane-rule')} {answer.get('x-cellplane-cell')}"
                for answer in [
                    await client.send("/", each) for each in (crumbs, twice, (PRIVATE,), (BROKEN,))
                ]
            ]
            # Browsers send each cookie in a field of its own here, and all of them are one list.
            assert found == ["session cell-2", "default cell-1", "token cell-2", "default cell-1"]
