"""`cellplane moves` against a Topology Service; a leader is played by hand."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime

import pytest

from cellplane.cli.outcome import Exit
from tests.cellplane.cli.conftest import Run
from tests.cellplane.cli.topology_thread import Topology
from tests.topology.samples import cell
from topology.moves import machine
from topology.moves.book import MoveBook

START = ("moves", "start", "organization/42", "--to", "2")


@pytest.fixture(autouse=True)
def acme(run: Run, service: Topology) -> None:
    service.do(service.stage.put(cell(1), cell(2)))
    run("claims", "create", "--cell", "1", "ROUTES", "acme", "acme/web", "--subject", "organization/42")
    service.caught_up()


def carried(service: Topology, move_id: str, steps: int = 1, *, blocked: str = "") -> None:
    """Do what a leader does."""
    book, now = MoveBook(service.stage.store, service.stage.keyspace), datetime.now(UTC)
    for _ in range(steps):
        service.do(book.change(move_id, lambda move: machine.stepped(move, now, "leader", "done")))
    if blocked:
        service.do(book.change(move_id, lambda move: machine.blocks(move, now, "leader", blocked)))


def begun(run: Run, *more: str) -> str:
    found = json.loads(run(*START, "--yes", "-o", "json", *more).stdout)
    return str(found["move"]["id"])


def test_a_dry_run_shows_each_step_and_begins_nothing(run: Run) -> None:
    shown = run(*START, "--dry-run").stdout
    assert "would: ORGANIZATION/42: cell 1 -> cell 2, epoch 1 -> 2\nwould: 2 claims will go along\n" in shown
    assert "would: freeze     writes for the owner are refused" in shown
    assert run("moves", "list").stdout == "Nothing moves; `--all` shows moves that have ended.\n"


def test_it_asks_first_and_begins_once(run: Run) -> None:
    refused = run(*START, expect=Exit.REFUSED)
    assert "needs --yes" in refused.stderr
    request = str(uuid.uuid4())
    done = run(*START, "--yes", "--request-id", request, "--reason", "room", "--ask-before", "transfer")
    assert f"Begun; see `cellplane moves watch {request[:8]}`." in done.stdout
    again = run(*START, "--yes", "--request-id", request)
    assert "(an earlier call began it)" in again.stdout
    busy = run(*START, "--yes", expect=Exit.CONFLICT)
    assert f"ORGANIZATION/42 is in move {request}" in busy.stderr
    listed = run("moves", "list")
    assert request[:8] in listed.stdout
    assert "Nobody carries moves on" in listed.stderr
    shown = run("moves", "show", request[:8]).stdout
    assert "step         PREPARE since " in shown
    assert "asks before  TRANSFER\n" in shown
    assert "PREPARE started            room  [ada]\n" in shown


def test_what_is_wrong_is_said(run: Run) -> None:
    assert "'soon' is no duration" in run(*START, "--test-window", "soon", expect=Exit.USAGE).stderr
    assert "there is no cell 9" in run(*START[:-1], "9", "--yes", expect=Exit.REFUSED).stderr
    run("moves", "start", "user/1", "--to", "2", "--yes", expect=Exit.NOT_FOUND)
    epoch = run(*START, "--expected-epoch", "7", "--yes", expect=Exit.REFUSED)
    assert "is at epoch 1, not 7" in epoch.stderr
    run("moves", "show", "abc", expect=Exit.NOT_FOUND)
    run("claims", "create", "--cell", "2", "ROUTES", "x", "--subject", "organization/42")
    scattered = run(*START, "--yes", expect=Exit.REFUSED)
    assert "have all but one destroy theirs" in scattered.stderr


def test_orders(run: Run, service: Topology) -> None:
    move = begun(run)
    back = run("moves", "switch-back", move[:8], "--dry-run", expect=Exit.REFUSED)
    assert "SWITCH_BACK is not possible at PREPARE: abort is the way out" in back.stderr
    assert "it ends, and nothing has moved" in run("moves", "abort", move, "--dry-run").stdout
    assert "needs --yes" in run("moves", "abort", move, expect=Exit.REFUSED).stderr
    carried(service, move, 5, blocked="a person's word")
    assert "A PERSON: a person's word" in run("moves", "list").stdout
    said = json.loads(run("moves", "continue", move, "--reason", "works", "-o", "json").stdout)
    assert (said["done"], said["move"]["history"][-1]["words"]) == (True, "CONTINUE: works")
    run("moves", "switch-back", move, "--yes")


def test_a_watch_ends_with_the_move(run: Run, service: Topology) -> None:
    move = begun(run)
    carried(service, move, 7)
    watched = run("moves", "watch", move[:8]).stdout.splitlines()
    assert "PREPARE started" in watched[0]
    assert "COMMITTED ended" in watched[-1]
    assert json.loads(run("moves", "list", "--all", "-o", "json").stdout)["moves"][0]["ended"] is True


def test_a_watch_of_a_move_that_did_not_commit_fails(run: Run, service: Topology) -> None:
    move = begun(run)
    run("moves", "abort", move, "--yes")
    book, now = MoveBook(service.stage.store, service.stage.keyspace), datetime.now(UTC)
    service.do(book.change(move, lambda each: machine.obeyed(each, now, "leader")))
    carried(service, move)
    assert "ABORTED ended" in run("moves", "watch", move, expect=Exit.FAILED).stdout
