"""Waves led over one store: who has what at each moment, what stops them, and who goes on after a leader."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import web

from cellplane.pushes import EDGE, EVERYTHING, FROZEN
from cellplane.wave_record import ORDER, SETTINGS, Query, Stage, WaveSettings, WaveState
from pb.envoy.config.endpoint.v3 import endpoint_pb2
from tests.cellplane.views import cell
from tests.cellplane.waving import QUICK, Replica, document, replica, settings, until, write
from tests.envoy.rule_documents import document as rules_document
from tests.envoy.rule_documents import rule
from topology.memory import MemoryStore
from topology.model import CellState, Endpoint
from topology.store import Committed, Conflict, Txn
from xds.resource import CLUSTER, ENDPOINT, ROUTE
from xds.snapshot import Snapshot

NODES = 20
SLOW = replace(QUICK, stages=(Stage(percent=10, bake_seconds=3600),))


@pytest.fixture
async def store() -> MemoryStore:
    made = MemoryStore()
    await write(made, cell(1), cell(2))
    return made


@pytest.fixture
async def a(store: MemoryStore) -> AsyncIterator[Replica]:
    async with replica(store) as made:
        await settings(store, QUICK)
        await until(lambda: made.publisher.state.published is not None, "a first publish")
        for number in range(NODES):
            made.connect(f"edge-{number}")
        await engaged(made)
        yield made


async def engaged(made: Replica) -> None:
    await until(lambda: made.publisher.state.standing is not None, "waves in force")


def says(made: Replica, state: WaveState) -> bool:
    return made.wave is not None and made.wave.state is state


async def going(made: Replica, nodes: int) -> str:
    """Wait until so many have cell 3, and give the wave's id."""
    await until(lambda: says(made, WaveState.GOING) and len(made.having("cell-3")) == nodes, "a wave")
    assert made.wave is not None
    return made.wave.id


def story(made: Replica) -> list[str]:
    newest = made.history.pushes()[-1]
    return [event["what"] for event in newest.body.get("wave", {}).get("events", ())]


def states(made: Replica) -> list[str]:
    return [push.body["wave"]["state"] for push in made.history.pushes() if "wave" in push.body]


def has_cell_3(snapshot: Snapshot) -> bool:
    return "cell-3" in snapshot.of_type(CLUSTER)


async def test_a_change_goes_out_in_stages_and_its_story_is_told(a: Replica, store: MemoryStore) -> None:
    a.connect("canary", canary=True)
    await write(store, cell(3))
    await until(lambda: len(a.having("cell-3")) == NODES + 1, "all have it")
    await until(lambda: story(a)[-1:] == ["all 21 nodes"], "its story")
    first, *told = story(a)
    assert first == "canaries: 1 of 21 nodes"
    assert [line.split(":")[0] for line in told] == ["10 %", "50 %", "all 21 nodes"]
    push = a.history.pushes()[-1]
    assert push.body["wave"]["state"] == "DONE"
    assert push.body["lines"][0] == "cell 3: added in ACTIVE, weight 100"
    await until(lambda: a.history.pushes()[-1].outcome["nodes"] == NODES + 1, "all are counted")
    assert [each.id for each in a.history.pushes()].count(push.id) == 1, "one push, however many stages"


async def test_a_rejection_in_the_first_stage_sends_all_back(a: Replica, store: MemoryStore) -> None:
    canary = a.connect("canary", canary=True)
    canary.rejects = has_cell_3
    await write(store, cell(3))
    await until(lambda: says(a, WaveState.HALTED), "a halt")
    assert a.wave is not None
    assert a.wave.reason == "canary rejected route edge: no such thing"
    assert not a.having("cell-3")
    others = [node for node in a.nodes.values() if node is not canary]
    assert not any(has_cell_3(each) for node in others for each in node.had), "nobody else ever had it"

    await write(store, cell(4))
    await write(store, cell(1, endpoints=(Endpoint(host="10.0.1.2", port=80, zone="a"),)))
    await until(lambda: _ports(a, "cell-1") == {"10.0.1.2"}, "endpoints, that wait for nothing")
    assert not a.having("cell-4"), "nothing newer begins while a wave is halted"

    canary.rejects = lambda _: False
    await write(store, cell(3, weight=50))
    await until(lambda: a.having("cell-4") == a.having("cell-3") == set(a.nodes), "what was mended")
    await until(lambda: states(a) == ["HALTED", "DONE"], "what became of both")


async def test_rules_reach_sidecars_in_the_same_wave_and_one_that_rejects_them_halts_it(
    a: Replica, store: MemoryStore
) -> None:
    pods = [a.connect(f"pod-{number}", group="sidecar/1") for number in range(10)]
    canary = a.connect("pod-canary", canary=True, group="sidecar/1")
    await until(lambda: all(pod.had for pod in pods), "what all have")
    await settings(store, replace(QUICK, stages=(Stage(percent=0, bake_seconds=3600),)))
    await document(store, "rules", "current", rules_document(rule(name="first")))
    await until(lambda: says(a, WaveState.GOING), "a wave")
    wave = a.wave
    assert wave is not None
    await until(lambda: canary.had[-1].tag == wave.id, "the canary to have it")
    assert {pod.had[-1].tag for pod in pods} == {wave.good}
    assert (wave.nodes, wave.of) == (1, NODES + 11), "the canary alone"
    canary.rejects = lambda snapshot: snapshot.tag == wave.id
    canary.offer(canary.had[-1], {})
    await until(lambda: says(a, WaveState.HALTED), "a halt")
    assert a.wave is not None
    assert a.wave.reason.startswith("pod-canary rejected route")
    await until(lambda: canary.had[-1].tag == wave.good, "the sidecar to be back")


def _ports(made: Replica, name: str) -> set[str]:
    """Give the endpoints of a cluster that all nodes agree on."""
    found = set()
    for node in made.nodes.values():
        body = node.had[-1].of_type(ENDPOINT)[name].body
        message = endpoint_pb2.ClusterLoadAssignment.FromString(body)
        found |= {
            each.endpoint.address.socket_address.address
            for one in message.endpoints
            for each in one.lb_endpoints
        }
    return found


async def test_while_a_wave_goes_quarantines_and_endpoints_pass_and_others_queue(
    a: Replica, store: MemoryStore
) -> None:
    await settings(store, SLOW)
    await write(store, cell(3))
    await going(a, 2)
    await write(store, cell(2, CellState.QUARANTINED), cell(4))
    await until(lambda: _quarantined(a) == set(a.nodes), "the quarantine everywhere")
    assert len(a.having("cell-3")) == 2
    assert not a.having("cell-4"), "another change waits for its own wave"
    standing = a.publisher.state.standing
    assert standing is not None
    assert (standing.waits, standing.waits_behind) == (True, True)
    await settings(store, QUICK)
    await until(lambda: a.having("cell-3") == a.having("cell-4") == set(a.nodes), "both")


def _quarantined(made: Replica) -> set[str]:
    """Name the nodes that answer in the name of a quarantined cell."""
    return {
        name for name, node in made.nodes.items()
        if any(b"quarantine" in each.body for each in node.had[-1].of_type(ROUTE).values())
    }  # fmt: skip


async def test_what_is_written_again_takes_its_wave_back(a: Replica, store: MemoryStore) -> None:
    await settings(store, SLOW)
    await write(store, cell(3))
    first = await going(a, 2)
    await write(store, cell(3, weight=7))
    await until(
        lambda: says(a, WaveState.GOING) and a.wave is not None and a.wave.id != first, "another wave"
    )
    await until(lambda: len(a.having("cell-3")) == 2, "its first stage")
    withdrawn = a.history.find(first)[0]
    await until(lambda: a.history.find(first)[0].body.get("wave", {}).get("state") == "WITHDRAWN", "its end")
    assert withdrawn.outcome["waiting"] == 0


async def test_an_operators_word_halts_retries_and_sends_to_all(a: Replica, store: MemoryStore) -> None:
    await settings(store, SLOW)
    await write(store, cell(3))
    wave = await going(a, 2)
    await document(store, ORDER, EDGE, {"wave": wave, "word": "halt"})
    await until(lambda: says(a, WaveState.HALTED) and not a.having("cell-3"), "a halt")
    await document(store, ORDER, EDGE, {"wave": wave, "word": "retry"})
    wave = await going(a, 2)
    await document(store, ORDER, EDGE, {"wave": wave, "word": "all"})
    await until(lambda: a.having("cell-3") == set(a.nodes), "all at once")
    await until(lambda: says(a, WaveState.READY), "its end")
    assert a.runner.outcomes["SENT TO ALL"] == 1  # type: ignore[index]  # its value names it


async def test_a_word_that_comes_while_another_is_obeyed_is_obeyed_too(
    a: Replica, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await settings(store, SLOW)
    await write(store, cell(3))
    wave = await going(a, 2)
    await document(store, ORDER, EDGE, {"wave": wave, "word": "halt"})
    await until(lambda: says(a, WaveState.HALTED) and not a.having("cell-3"), "a halt")
    commit = MemoryStore.commit
    asked: list[Txn] = []

    async def overtaken(self: MemoryStore, txn: Txn) -> Committed | Conflict:
        if not asked and any(ORDER in key for key in txn.deletes):
            asked.append(txn)
            await document(store, ORDER, EDGE, {"wave": wave, "word": "all"})
        return await commit(self, txn)

    monkeypatch.setattr(MemoryStore, "commit", overtaken)
    await document(store, ORDER, EDGE, {"wave": wave, "word": "retry"})
    await until(lambda: a.having("cell-3") == set(a.nodes), "all at once")
    assert asked


async def test_a_lost_node_and_one_that_stays_silent_halt(a: Replica, store: MemoryStore) -> None:
    await settings(store, replace(SLOW, patience_seconds=0.0, lost_seconds=0.0))
    await write(store, cell(3))
    await until(lambda: says(a, WaveState.GOING), "a wave")
    gone = next(name for name in a.nodes if a.wave is not None and a.wave.takes(name, False))
    a.disconnect(gone)
    await until(lambda: says(a, WaveState.HALTED), "a halt")
    assert a.wave is not None
    assert a.wave.reason.startswith(f"1 lost their stream and did not come back ({gone})")
    mute = a.connect("mute", canary=True, mute=True)
    await document(store, ORDER, EDGE, {"wave": a.wave.id, "word": "retry"})
    await until(lambda: "mute" in (a.wave.reason if a.wave else ""), "another halt")
    assert not has_cell_3(mute.had[-1])


async def test_a_query_above_its_limit_halts_and_one_without_answer_keeps_it_there(
    a: Replica, store: MemoryStore
) -> None:
    values = [1.0]

    async def query(_: web.Request) -> web.Response:
        data = {"resultType": "vector", "result": [{"value": [0, str(value)]} for value in values]}
        return web.json_response({"status": "success", "data": data})

    app = web.Application()
    app.router.add_get("/api/v1/query", query)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        watched = replace(
            QUICK, prometheus="http://127.0.0.1:9", queries=(Query(name="errors", expression="x", limit=5),)
        )
        await settings(store, watched)
        await write(store, cell(3))
        await until(lambda: "errors" in a.runner.problem, "that nobody answers")
        assert len(a.having("cell-3")) == 2, "it goes no further unwatched"
        values[0] = 6.0
        await settings(store, replace(watched, prometheus=url))
        await until(lambda: says(a, WaveState.HALTED), "a halt")
        assert a.wave is not None
        assert a.wave.reason == "query errors gives 6, above its limit 5"
    finally:
        await runner.cleanup()


async def test_another_leader_goes_on_where_the_first_was(store: MemoryStore) -> None:
    async with replica(store, "b") as b:
        async with replica(store, "a") as a:
            await settings(store, SLOW)
            await until(lambda: a.publisher.state.published is not None, "a first publish")
            await until(lambda: b.publisher.state.published is not None, "a first publish")
            for number in range(NODES):
                (a if number % 2 else b).connect(f"edge-{number}")
            await engaged(a)
            await engaged(b)
            await a.sees(NODES)
            await b.sees(NODES)
            await write(store, cell(3))
            await until(lambda: len(a.having("cell-3") | b.having("cell-3")) == 2, "the first stage")
            assert a.wave == b.wave
            assert a.runner.leads != b.runner.leads
        for number in range(1, NODES, 2):  # they come to the other replica
            b.connect(f"edge-{number}")
        await until(lambda: b.runner.leads, "another leader")
        assert len(b.having("cell-3")) == 2, "those of the wave have it there too"
        await settings(store, QUICK)
        await until(lambda: len(b.having("cell-3")) == NODES, "the end of the wave")


async def test_a_replica_that_starts_meanwhile_serves_both_states(a: Replica, store: MemoryStore) -> None:
    await settings(store, SLOW)
    await write(store, cell(3))
    wave = await going(a, 2)
    async with replica(store, "late") as late:
        await until(lambda: late.publisher.state.staged is not None, "both states")
        assert late.wave is not None
        assert late.wave.id == wave
        for name in a.nodes:
            late.connect(name)
        assert late.having("cell-3") == a.having("cell-3")


async def test_small_fleets_and_those_without_waves_get_all_at_once(store: MemoryStore) -> None:
    async with replica(store) as a:
        await until(lambda: a.publisher.state.published is not None, "a first publish")
        for number in range(3):
            a.connect(f"edge-{number}")
        await until(lambda: a.runner.leads, "a leader")
        await write(store, cell(3))
        await until(lambda: len(a.having("cell-3")) == 3, "all at once")
        assert a.wave is None
        await settings(store, WaveSettings(min_nodes=3))
        await engaged(a)


async def test_frozen_no_step_is_taken(a: Replica, store: MemoryStore) -> None:
    await settings(store, SLOW)
    await write(store, cell(3))
    await going(a, 2)
    await document(store, FROZEN, EVERYTHING, {})
    await settings(store, QUICK)
    view = a.publisher.state
    await until(
        lambda: view.view is not None and (SETTINGS, EDGE) in view.view.documents and bool(view.frozen),
        "a freeze",
    )
    assert len(a.having("cell-3")) == 2
    await document(store, FROZEN, EVERYTHING, None)
    await until(lambda: a.having("cell-3") == set(a.nodes), "the rest of it")
