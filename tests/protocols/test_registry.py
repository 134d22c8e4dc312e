"""The container registry: blobs and manifests by the repository in the path."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from aiohttp import web

from tests.protocols.cells import Handler, counted, edge_of, rules
from tests.protocols.programs import memory_peak_kib
from tests.protocols.streams import noise

BLOBS = {"name": "registry", "type": "path_prefix", "prefixes": {"/v2/acme": 1, "/v2/globex": 2}}


def registry(blobs: dict[str, str]) -> Handler:
    """Take a blob in one piece, note its digest, and say where it is."""

    async def serve(request: web.Request) -> web.Response:
        if request.method != "PATCH":
            return web.Response(status=200 if request.path in blobs else 404)
        digest = hashlib.sha256()
        async for piece in request.content.iter_any():
            digest.update(piece)
        blobs[f"{request.path.rpartition('/uploads/')[0]}/{digest.hexdigest()}"] = "kept"
        return web.Response(status=202, headers={"docker-content-digest": f"sha256:{digest.hexdigest()}"})

    return serve


async def test_a_blob_goes_to_the_cell_of_its_repository_through_flat_memory(tmp_path: Path) -> None:
    one: dict[str, str] = {}
    two: dict[str, str] = {}
    async with edge_of(tmp_path, registry(one), registry(two), ruleset=rules(BLOBS)) as (edge, client):
        blob = noise(32 << 20)
        before = memory_peak_kib(edge.envoy.pid)
        async with client.patch("/v2/globex/web/blobs/uploads/7", data=io.BytesIO(blob)) as answer:
            assert answer.status == 202
        at = f"/v2/globex/web/blobs/{hashlib.sha256(blob).hexdigest()}"
        assert (one, two) == ({}, {at: "kept"})
        assert (memory_peak_kib(edge.envoy.pid) - before) << 10 < len(blob) // 4
        for path, status in ((at, 200), (at.replace("globex", "acme"), 404)):
            async with client.get(path) as answer:
                assert answer.status == status
        assert await counted(edge) == {"registry": 3}
