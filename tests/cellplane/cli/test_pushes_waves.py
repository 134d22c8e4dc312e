"""`cellplane pushes waves`: settings are shown and changed, words are given, mistakes are named."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from cellplane.cli.outcome import Exit
from cellplane.pushes import EDGE
from cellplane.wave_record import (
    ORDER,
    SETTINGS,
    WAVE,
    Mode,
    Query,
    Stage,
    Wave,
    WaveSettings,
    WaveState,
    settings_of,
)
from tests.cellplane.cli.conftest import Run
from tests.cellplane.cli.pages_thread import served
from tests.cellplane.views import STAMP
from tests.etcd_server import EtcdServer
from topology.apply import apply, read_view
from topology.etcd import EtcdStore
from topology.keys import Keyspace
from topology.planning import plan_document

GOING = Wave(
    id="3fa9c2d1", group=EDGE, state=WaveState.GOING, good="a", next="3fa9c2d1", nodes=3, of=20, percent=10,
    stage_at=1_800_000_000,
)  # fmt: skip


async def test_settings_change_field_by_field_and_words_reach_the_leader(
    etcd: EtcdServer, keyspace: Keyspace, run: Run
) -> None:
    async def command(*arguments: str, expect: Exit = Exit.OK) -> str:
        return (await asyncio.to_thread(run, "pushes", *arguments, expect=expect)).output

    store = EtcdStore((etcd.endpoint,))
    try:
        await command("waves", "set", "--stage", "canary:1m", "--stage", "10%:5m", "--min-nodes", "3")
        await command("waves", "set", "--most-gone", "20")
        await command(
            "waves", "set", "--prometheus", "http://p:9090", "--query", "errors=sum(rate(x[1m])) / 2 > 0.5"
        )
        found = settings_of(await read_view(store, keyspace), EDGE)
        assert found == WaveSettings(
            min_nodes=3,
            most_gone_percent=20,
            stages=(Stage(percent=0, bake_seconds=60), Stage(percent=10, bake_seconds=300)),
            prometheus="http://p:9090",
            queries=(Query(name="errors", expression="sum(rate(x[1m])) / 2", limit=0.5),),
        )
        await apply(store, keyspace, lambda view: plan_document(view, WAVE, EDGE, GOING.body(), STAMP))
        told = await command("waves", "halt", "3fa9c2d1", "--yes", "--reason", "errors")
        assert "WAVE: push 3fa9c2d1 is at 3 of 20 nodes." in told
        view = await read_view(store, keyspace)
        assert view.documents[ORDER, EDGE].body == {"wave": "3fa9c2d1", "word": "halt"}
        assert "is for one that is HALTED" in await command(
            "waves", "retry", "3fa9c2d1", "--yes", expect=Exit.REFUSED
        )
        assert "sends everything that waits" in await command("release", "3fa9c2d1", "--yes")
        view = await read_view(store, keyspace)
        assert view.documents[ORDER, EDGE].body["word"] == "all"
        await command("waves", "set", "--mode", "off", "--no-queries", "--yes")
        view = await read_view(store, keyspace)
        assert set(view.documents) == {(SETTINGS, EDGE)}
        assert settings_of(view, EDGE) == replace(found, mode=Mode.OFF, queries=())
    finally:
        await store.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--stage", "10"], "write canary:30s or 10%:5m"),
        (["--stage", "ten:5m"], "write canary:30s or 10%:5m"),
        (["--query", "errors"], "write NAME=EXPRESSION>LIMIT"),
        (["--patience", "soon"], "--patience"),
        (["--mode", "sideways"], "--mode"),
        ([], "nothing is to be changed"),
    ],
)
def test_what_cannot_be_read_is_named(arguments: list[str], words: str, run: Run) -> None:
    assert words in run("pushes", "waves", "set", *arguments, expect=Exit.USAGE).output


def test_a_setting_that_makes_no_sense_is_refused_with_its_field(run: Run) -> None:
    told = run("pushes", "waves", "set", "--stage", "50%:1m", "--stage", "10%:1m", expect=Exit.REFUSED)
    assert "stages[1].percent" in told.output


def test_where_a_wave_stands_is_shown(run: Run) -> None:
    halted = {**GOING.body(), "state": "HALTED", "reason": "edge-1 rejected route edge: no"}
    settings = replace(WaveSettings(), queries=(Query(name="e", expression="x", limit=2),)).body()
    about = {"group": EDGE, "settings": settings, "pending": ["cell 3: weight: 100 → 0"]}
    for wave, words in (
        ({**GOING.body(), "waits": True}, ("GOING", "3 of 20", "1 lines", "canaries", "50 %", "ABOVE")),
        (halted, ("HALTED", "edge-1 rejected route edge: no")),
        (None, ("off: to all at once",)),
    ):
        page = {"groups": [{**about, "wave": wave}], "problem": "query e: nobody answers"}
        with served({"/v1/waves": page}) as url:
            told = run("pushes", "waves", "show", "--control-plane", url).output
            assert all(part in told for part in (*words, "WAITING: query e: nobody answers."))
            as_json = run("pushes", "waves", "show", "--control-plane", url, "-o", "json").output
            assert json.loads(as_json) == page
