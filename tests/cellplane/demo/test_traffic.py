"""Traffic is checked request by request: what counts as lost, as misled, and as meant."""

from __future__ import annotations

import asyncio

import aiohttp

from cellplane.demo.stub_cell import start_stub_cell
from cellplane.demo.traffic import (
    UNOWNED,
    Answer,
    Ask,
    Traffic,
    ask,
    by_cell,
    failed,
    path_ask,
    session_ask,
    wrong_owner,
)


def answered(request: Ask, status: int = 200, cell: int | None = 1) -> Answer:
    return Answer(ask=request, status=status, cell=cell, rule="", seen_by_cell={}, response_headers={})


def test_an_owned_request_that_another_cell_answers_is_misled() -> None:
    right, wrong = answered(session_ask(1)), answered(path_ask("/acme", 3), cell=1)

    assert wrong_owner([right, wrong, answered(UNOWNED), answered(session_ask(2), 503, None)]) == [wrong]


def test_only_a_quarantined_cells_own_503_is_meant() -> None:
    meant, lost = answered(session_ask(3), 503, None), answered(session_ask(1), 503, None)
    gone = answered(session_ask(3), 0, None)

    assert failed([meant, lost, gone, answered(UNOWNED)], quarantined=3) == [lost, gone]
    assert failed([meant]) == [meant]


def test_answers_are_counted_by_cell() -> None:
    assert by_cell([answered(UNOWNED), answered(UNOWNED), answered(UNOWNED, 503, None)]) == {1: 2, None: 1}


async def test_a_stub_cell_tells_what_it_saw() -> None:
    cell = await start_stub_cell(7)
    try:
        async with aiohttp.ClientSession() as session:
            request = Ask(kind="any", path="/x?y=1", headers={"x-cellplane-rule": "session"})
            answer = await ask(session, f"http://127.0.0.1:{cell.port}", request)
            async with session.get(f"http://127.0.0.1:{cell.port}/-/liveness") as health:
                assert health.status == 200
    finally:
        await cell.stop()

    assert (answer.status, answer.cell, answer.rule) == (200, 7, "session")
    assert cell.requests == 1, "health checks are not counted"


async def test_nobody_there_is_an_answer_with_status_0() -> None:
    async with aiohttp.ClientSession() as session:
        answer = await ask(session, "http://127.0.0.1:1", UNOWNED)

    assert (answer.status, answer.cell) == (0, None)
    assert answer.error


async def test_traffic_keeps_its_round_and_its_record() -> None:
    cell = await start_stub_cell(1)
    traffic = Traffic(f"http://127.0.0.1:{cell.port}", [session_ask(1), UNOWNED], rate_per_second=500)
    flow = asyncio.ensure_future(traffic.run())
    try:
        await traffic.more(10)
        mark = traffic.mark()
        await traffic.more(10)
    finally:
        flow.cancel()
        await asyncio.gather(flow, return_exceptions=True)
        await cell.stop()

    assert len(traffic.since(mark)) >= 10
    assert not failed(traffic.answers)
    kinds = [answer.ask.kind for answer in traffic.answers]
    assert abs(kinds.count("unowned") - kinds.count("session of cell 1")) <= 10
