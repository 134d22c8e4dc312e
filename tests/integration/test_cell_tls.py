"""TLS to cells on a real Envoy: a cell is believed by its own name, and by no other."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AsyncExitStack
from pathlib import Path

import trustme

from cellplane.demo.free_port import free_port
from envoy.edge import CellTls, EdgeSettings
from tests.envoy.edge_rig import StubCell, cell, running_edge, view_of

NAMES = {1: "cell-1.cells.test", 2: "cell-1.cells.test", 3: "cell-3.cells.test"}


async def test_a_cell_answers_by_its_own_name_alone(tmp_path: Path) -> None:
    ours, theirs = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    settings = EdgeSettings(
        listen_address="127.0.0.1",
        listen_port=free_port(),
        health_check_path="",
        cell_tls=CellTls(ca=str(tmp_path / "ca.pem"), name="cell-{id}.cells.test"),
    )
    async with AsyncExitStack() as stack:
        ports: dict[int, int] = {}
        for cell_id, name in NAMES.items():
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            (theirs if cell_id == 3 else ours).issue_cert(name).configure_cert(context)
            stub = StubCell(f"cell-{cell_id}")
            listening = await asyncio.start_server(stub.serve, "127.0.0.1", 0, ssl=context)
            stack.callback(listening.close)
            ports[cell_id] = listening.sockets[0].getsockname()[1]
        edge = await stack.enter_async_context(running_edge(tmp_path, (), settings=settings))
        await edge.publish(view_of(*(cell(each, ports=(port,)) for each, port in ports.items())))
        await edge.envoy.ready()

        async def asked(cell_id: int) -> int:
            answer = await edge.send(
                "/", ("cookie", f"_gitlab_session=cell-{cell_id}-x"), ("x-forwarded-proto", "gopher"),
                ("x-forwarded-port", "1"), ("x-forwarded-host", "elsewhere:1"),
            )  # fmt: skip
            return answer.status

        assert await asked(1) == 200
        assert await asked(2) == 503, "another cell's certificate"
        assert await asked(3) == 503, "nobody whom we trust says so"
        refused = [await edge.envoy.stat(f"cluster.cell-{each}.ssl.fail_verify_san") for each in (1, 2)]
        assert refused[0] == 0
        assert refused[1] > 0
