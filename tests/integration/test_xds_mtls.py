"""xDS over mutual TLS with real Envoys: a certificate opens the door to its own node, and to no other."""

from __future__ import annotations

from pathlib import Path

from cellplane.demo.ports import Ports
from cellplane.demo.stage import Stage
from envoy.bootstrap import XdsTls, bootstrap
from tests.certificates import Authority, Identity
from tests.changes_under_traffic import begin_topology
from tests.conftest import StartEnvoy
from tests.processes import eventually


async def test_a_certificate_opens_the_door_to_its_own_node_alone(tmp_path: Path, envoy: StartEnvoy) -> None:
    authority = Authority(tmp_path / "ca")
    server = authority.issue("server", "127.0.0.1")
    client = authority.issue("client", "edge-1")
    async with Stage(tmp_path, Ports()) as stage:
        await begin_topology(
            stage, f"--xds-cert={server.cert}", f"--xds-key={server.key}", f"--xds-client-ca={authority.ca}"
        )
        await envoy(edge(stage, "edge-1", authority, client))
        impostor = await envoy(edge(stage, "edge-2", authority, client), wait_ready=False)
        stranger = await envoy(edge(stage, "edge-1", authority, None), wait_ready=False)

        for refused in (impostor, stranger):
            await refused.until_stat("cluster.cellplane_xds.upstream_cx_total", at_least=1)
            assert await refused.stat("cluster_manager.cds.update_success") == 0

        async def told() -> bool:
            return "not of node 'edge-2'" in stage.log("control-plane")

        await eventually(told, "the refusal in the log")
        assert [node["id"] for node in (await stage.fleet())["nodes"]] == ["edge-1"]


def edge(stage: Stage, node_id: str, authority: Authority, client: Identity | None) -> dict[str, object]:
    return bootstrap(
        role="edge",
        node_id=node_id,
        xds_addresses=(f"127.0.0.1:{stage.ports.xds}",),
        admin_port=0,
        xds_tls=XdsTls(
            ca=str(authority.ca),
            certificate=str(client.cert) if client else "",
            key=str(client.key) if client else "",
        ),
    )
