"""TLS of what is served over HTTP."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from cellplane.https import certificate_of, https_context
from cellplane.settings import TlsFiles
from tests.certificates import Authority


def test_without_a_certificate_there_is_no_tls() -> None:
    assert https_context(TlsFiles(), demanding=False) is None


@pytest.mark.parametrize(("demanding", "mode"), [(True, ssl.CERT_REQUIRED), (False, ssl.CERT_OPTIONAL)])
def test_clients_must_or_may_show_a_certificate(
    tmp_path: Path, demanding: bool, mode: ssl.VerifyMode
) -> None:
    authority = Authority(tmp_path)
    server = authority.issue("server", "localhost")
    files = TlsFiles(ca=authority.ca, cert=server.cert, key=server.key)
    context = https_context(files, demanding=demanding)
    assert context is not None
    assert context.verify_mode == mode
    alone = https_context(TlsFiles(cert=server.cert, key=server.key), demanding=demanding)
    assert alone is not None
    assert alone.verify_mode == ssl.CERT_NONE


async def test_a_request_is_whose_certificate_was_shown_for_it(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server, ada = authority.issue("server", "127.0.0.1"), authority.issue("ada", common_name="admin-ada")
    ours = https_context(TlsFiles(ca=authority.ca, cert=server.cert, key=server.key), demanding=False)

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=certificate_of(request).name)

    async def named(context: ssl.SSLContext | None, shows: ssl.SSLContext | bool) -> str:
        app = web.Application()
        app.router.add_get("/", page)
        site = TestServer(app, scheme="https" if context else "http")
        await site.start_server(ssl=context)
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(site.make_url("/"), ssl=shows) as answer,
            ):
                return await answer.text()
        finally:
            await site.close()

    nobody = ssl.create_default_context(cafile=authority.ca)
    somebody = ssl.create_default_context(cafile=authority.ca)
    somebody.load_cert_chain(str(ada.cert), str(ada.key))
    assert await named(None, True) == ""
    assert await named(ours, nobody) == ""
    assert await named(ours, somebody) == "admin-ada"


async def test_files_that_are_replaced_count_from_the_next_handshake_on(tmp_path: Path) -> None:
    first, second = Authority(tmp_path / "first"), Authority(tmp_path / "second")
    ours, renewed = first.issue("server", "127.0.0.1"), second.issue("server", "127.0.0.1")
    files = TlsFiles(ca=tmp_path / "ca.pem", cert=ours.cert, key=ours.key)
    shutil.copy(first.ca, tmp_path / "ca.pem")
    server = await asyncio.start_server(answering, "127.0.0.1", 0, ssl=https_context(files, demanding=True))
    port = server.sockets[0].getsockname()[1]
    async with server:
        assert await shake(port, first, first) == b"here"
        assert await shake(port, first, second) == b""
        ours.cert.write_bytes(b"half of it")
        assert await shake(port, first, first) == b"here"
        renewed.key.replace(ours.key)
        renewed.cert.replace(ours.cert)
        shutil.copy(second.ca, tmp_path / "ca.pem")
        assert await shake(port, second, second) == b"here"
        assert await shake(port, second, first) == b""


async def answering(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"here")
    writer.close()


async def shake(port: int, believed: Authority, vouched: Authority) -> bytes:
    """Connect believing one authority, with a certificate of one; give what is said, nothing where it is
    refused.
    """
    context = ssl.create_default_context(cafile=str(believed.ca))
    mine = vouched.issue("client", common_name="CELL-1")
    context.load_cert_chain(mine.cert, mine.key)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        return await reader.read()
    except OSError:  # with TLS 1.3 it is told behind the handshake
        return b""
    finally:
        writer.close()
