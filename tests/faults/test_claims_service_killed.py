"""The Topology Service is killed while clients claim: no claim has two owners, none is lost. Small."""

from __future__ import annotations

from pathlib import Path

from tests.claims_under_kill import INITIAL, run, step
from tests.etcd_cluster import EtcdCluster
from tests.etcd_server import EtcdServer
from tests.linearizable import UNKNOWN, Call, is_linearizable
from tests.postgresql_server import NEEDS_POSTGRESQL, PostgresServer


async def test_killed_services_lose_nothing_and_own_nothing_twice(
    etcd: EtcdServer, etcd_prefix: str, tmp_path: Path
) -> None:
    found = await run(etcd.endpoint, etcd_prefix, kills=3, seed=20261122, folder=tmp_path)
    assert found["kills"] == 3
    assert found["answered"] >= 20
    assert found["cut_off"] >= 1, "nobody was ever cut off"


async def test_nor_do_they_while_the_leader_of_three_etcds_moves(tmp_path: Path) -> None:
    cluster = EtcdCluster(tmp_path)
    await cluster.start()
    try:
        found = await run(cluster.endpoints, "/moved", 1, 20261128, tmp_path, disturb=cluster.move_leader)
    finally:
        await cluster.stop()
    assert found["kills"] == 1
    assert found["answered"] >= 10


@NEEDS_POSTGRESQL
async def test_nor_does_one_with_its_claims_in_postgresql_which_is_killed_too(
    etcd: EtcdServer, etcd_prefix: str, tmp_path: Path, postgresql_server: PostgresServer
) -> None:
    found = await run(etcd.endpoint, etcd_prefix, 2, 20261123, tmp_path, postgresql_server)
    assert found["kills"] == 2
    assert found["answered"] >= 10
    assert found["cut_off"] >= 1, "nobody was ever cut off"


def test_the_check_would_find_a_lost_claim() -> None:
    history = [
        Call(("begin", 1, frozenset({"a"}), frozenset()), "lease", 0.0, 1.0),
        Call(("close", 1, "lease", True), "closed", 2.0, 3.0),
        Call(("get", "a"), None, 4.0, 5.0),
    ]
    assert not is_linearizable(history, INITIAL, step)
    assert is_linearizable(history[:2], INITIAL, step)


def test_the_check_would_find_an_owner_in_two_cells() -> None:
    history = [
        Call(("begin", 1, frozenset({"a"}), frozenset()), "lease", 0.0, 1.0),
        Call(("close", 1, "lease", True), "closed", 2.0, 3.0),
        Call(("transfer", "a", 1, 2, 1), "moved", 4.0, 5.0),
        Call(("get", "a"), (2, "ACTIVE"), 6.0, 7.0),
        Call(("get", "a"), (1, "ACTIVE"), 8.0, 9.0),
    ]
    assert not is_linearizable(history, INITIAL, step)
    assert is_linearizable(history[:-1], INITIAL, step)


def test_the_check_would_find_a_begin_that_slipped_past_the_end_of_its_cell() -> None:
    begin = Call(("begin", 10, frozenset({"t"}), frozenset()), "lease", 0.0, 2.0)
    end = Call(("end", 10), "done", 1.0, 3.0)
    assert not is_linearizable([begin, end], INITIAL, step)
    refused = Call(begin.asked, "refused", 0.0, 2.0)
    assert is_linearizable([refused, end], INITIAL, step)
    assert not is_linearizable([refused, Call(end.asked, "refused", 1.0, 3.0)], INITIAL, step)
    closed = Call(("close", 10, "lease", False), "closed", 2.1, 2.2)
    assert is_linearizable([begin, closed, end, Call(("reopen", 10), "done", 4.0, 5.0)], INITIAL, step)
    late = Call(("begin", 10, frozenset({"u"}), frozenset()), "late", 4.0, 5.0)
    assert not is_linearizable([begin, closed, end, late], INITIAL, step)
    lost = Call(end.asked, UNKNOWN, 3.0, 3.5)
    assert is_linearizable([begin, lost, Call(closed.asked, "closed", 6.0, 7.0)], INITIAL, step)
