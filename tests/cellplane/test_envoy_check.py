"""A real Envoy is asked before any other is sent something, and what it refuses is held."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cellplane.envoy_check import EnvoyCheck, refusal, without_files
from cellplane.publisher import Publisher
from cellplane.pushes import EDGE, RELEASED
from envoy.edge import EdgeSettings, EdgeTls
from envoy.rules import DEFAULT_RULESET
from envoy.translate import translate
from pb.envoy.config.route.v3 import route_components_pb2, route_pb2
from tests.cellplane.pushing import NOW, made_of, view_of
from tests.cellplane.test_publisher import Wishes
from tests.cellplane.views import STAMP, cell
from tests.processes import eventually
from topology.model import Document
from topology.view import View
from xds.cache import Cache
from xds.resource import CLUSTER, ROUTE, Resource
from xds.snapshot import Snapshot

GOOD = made_of(view_of(10, cell(1))).snapshot
TWICE = route_pb2.RouteConfiguration(
    name="edge",
    virtual_hosts=[route_components_pb2.VirtualHost(name=name, domains=["*"]) for name in ("a", "b")],
)
BAD = Snapshot(11, {**GOOD.resources, ROUTE: {"edge": Resource.of(ROUTE, "edge", TWICE)}})


@asynccontextmanager
async def checking(binary: Path | None, woken: list[int]) -> AsyncIterator[EnvoyCheck]:
    check = EnvoyCheck(binary, lambda: woken.append(1))
    running = asyncio.ensure_future(check.run())
    try:
        yield check
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def verdict(check: EnvoyCheck, snapshot: Snapshot) -> str:
    async def known() -> bool:
        return check.verdict(snapshot) is not None

    await eventually(known, "Envoy's verdict", within=60)
    return check.verdict(snapshot) or ""


async def test_envoy_takes_what_is_translated_and_says_why_it_refuses_another(envoy_binary: Path) -> None:
    woken: list[int] = []
    async with checking(envoy_binary, woken) as check:
        assert check.verdict(GOOD) is None, "it is being asked"
        assert await verdict(check, GOOD) == ""
        assert "Only a single wildcard domain is permitted" in await verdict(check, BAD)
        assert len(woken) == 2
        assert check.verdict(Snapshot(12, GOOD.resources)) == "", "the same content is not asked about again"
        check.note_good(BAD)
        assert check.verdict(BAD) == "", "what went out is good, whoever let it"


async def test_without_a_binary_everything_is_well_and_one_that_is_none_is_named(tmp_path: Path) -> None:
    assert EnvoyCheck(None, lambda: None).verdict(BAD) == ""
    async with checking(tmp_path / "no-envoy", []) as check:
        assert "cannot be asked: No such file" in await verdict(check, GOOD)


async def test_what_envoy_refuses_is_held_and_goes_out_when_it_is_released(tmp_path: Path) -> None:
    stub = tmp_path / "envoy"
    stub.write_text(
        '#!/bin/sh\ngrep -q cell-2 "$4" || exit 0\necho "error initializing configuration \'\': no"; exit 1\n'
    )
    stub.chmod(0o755)
    cache = Cache()
    async with checking(stub, []) as check:
        publisher = Publisher(cache, EdgeSettings(), Wishes(), check=check)

        async def offered(view: View, *clusters: str) -> None:
            async def out() -> bool:
                publisher.offer(view)
                current = cache.current(EDGE)
                return set(current.of_type(CLUSTER) if current else ()) == set(clusters)

            await eventually(out, f"clusters {clusters}", within=30)

        await offered(view_of(10, cell(1)), "cell-1")
        bad = view_of(12, cell(1), cell(2))

        async def held() -> str:
            publisher.offer(bad)
            return publisher.state.held.reason if publisher.state.held else ""

        assert await eventually(held, "a hold", within=30) == "Envoy refuses it (--mode validate): no"
        await offered(bad, "cell-1")
        assert publisher.state.held is not None
        key = (RELEASED, publisher.state.held.id)
        document = Document(kind=RELEASED, name=key[1], body={}, stamp=STAMP)
        released = view_of(13, cell(1), cell(2))
        await offered(replace(released, documents={key: document}), "cell-1", "cell-2")
        await offered(view_of(14, cell(1), cell(2)), "cell-1", "cell-2")
        assert publisher.state.held is None, "a release is for good"


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("x\nerror initializing configuration '/tmp/a.json': no such thing\n", "no such thing"),
        ("terminate called\n", "terminate called"),
        ("", "it ended without a word"),
    ],
)
def test_envoys_own_words_are_kept(output: str, words: str) -> None:
    assert refusal(output) == words


async def test_files_of_other_hosts_are_left_out(envoy_binary: Path) -> None:
    assert without_files({"a": [{"transport_socket": 1, "b": 2}], "secrets": [1]}) == {"a": [{"b": 2}]}
    tls = EdgeTls(certificate="/elsewhere/c.pem", key="/elsewhere/k.pem")
    made = translate(view_of(10, cell(1)), DEFAULT_RULESET, EdgeSettings(tls=tls), NOW, None)
    assert made.snapshot.of_type(ROUTE)
    async with checking(envoy_binary, []) as check:
        assert await verdict(check, made.snapshot) == ""
