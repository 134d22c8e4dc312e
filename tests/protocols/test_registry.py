"""The container registry: blobs and manifests by the repository in the path, tokens by all their scopes."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from urllib.parse import urlencode

from aiohttp import web

from tests.envoy.owners_rig import asking_edge
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


UNSUPPORTED = '{"errors":[{"code":"UNSUPPORTED","message":"These are in several cells: ask one by one."}]}'
UNAVAILABLE = (
    '{"errors":[{"code":"UNAVAILABLE","message":"Who has the repository is not known now: try again."}]}'
)
TOKENS = {
    "name": "path",
    "type": "match",
    "match": [
        {"type": "path", "template": "/jwt/auth"},
        {"type": "query", "name": "scope", "every": True, "as": "scopes"},
    ],
    "transform": [{"type": "registry-scopes", "input": "${scopes}", "output": "registry"}],
    "action": {"classify": [{"type": "route", "value": "${registry.namespaces}", "many": True}]},
    "otherwise": {
        "ambiguous": {"status": 400, "body": UNSUPPORTED},
        "undecided": {"status": 503, "body": UNAVAILABLE},
    },
}


async def test_a_token_for_repositories_of_one_cell_comes_from_that_cell(tmp_path: Path) -> None:
    async with asking_edge(tmp_path, rules(TOKENS)) as asking:
        asking.owners.own(2, "acme", "library")
        asking.owners.own(3, "globex")

        def url(*scopes: str) -> str:
            query = urlencode(
                [("service", "registry"), *(("scope", f"repository:{each}") for each in scopes)]
            )
            return f"/jwt/auth?{query}"

        assert await asking.get(url("acme/web:pull")) == "path 2"
        assert await asking.get(url("acme/web:pull", "library/alpine:pull")) == "path 2", (
            "two, both of one cell"
        )
        assert await asking.get(url("globex/web:pull,push", "acme/base:pull")) == "path 3", (
            "what is written decides"
        )
        assert await asking.get(url("acme/web:pull repository:nobody/x:pull")) == "path 2"
        assert await asking.get(url("nobody/x:pull")) == "default 1", "nobody owns it, and that is known"
        assert await asking.get("/jwt/auth?service=registry") == "default 1", "a login names no repository"
        for first in ("acme/web:pull", "acme/new:push"):
            answer = await asking.edge.send(url(first, first.replace("acme", "globex")))
            assert (answer.status, answer.get("content-type"), answer.body) == (
                400,
                "application/json",
                UNSUPPORTED,
            )
        many = [f"n{at}/x:pull" for at in range(11)]
        assert (await asking.edge.send(url(*many))).status == 400, "more than anybody is asked for"
        assert await asking.edge.envoy.stat("cellplane.rule.path.ambiguous.ip_parsing_failed") == 3
        assert await asking.edge.envoy.stat("http.edge.lua.errors") == 0


async def test_silence_is_never_taken_for_nobody(tmp_path: Path) -> None:
    async with asking_edge(tmp_path, rules(TOKENS), timeout_seconds=0.2) as asking:
        asking.owners.own(2, "acme")
        assert await asking.get("/jwt/auth?scope=repository:acme/web:pull") == "path 2"
        await asking.owners.server.stop(0)
        known, unknown = "repository:acme/web:pull", "repository:other/web:pull"
        assert await asking.get(f"/jwt/auth?scope={known}") == "path 2", "remembered"
        answer = await asking.edge.send(f"/jwt/auth?scope={known}&scope={unknown}")
        assert (answer.status, answer.body) == (503, UNAVAILABLE)
