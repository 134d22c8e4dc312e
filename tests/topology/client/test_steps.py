"""What a client does, step by step: the test answers in the service's place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pb.gitlab.cells.topology_service.claims.v1 import service_pb2
from tests.topology.claims.samples import LEASE_1, metadata
from topology.claims.model import Source, SourceType, UserData
from topology.client.calls import Call, Local, Patience, Pause
from topology.client.errors import ClaimRefused, NameTaken, ServiceAway, TooBusy
from topology.client.reconcile import Commit, Forget
from topology.client.steps import MAX_BATCH_BYTES, ClaimSteps, HeldLease
from topology.client.verify import Drift, Stated

PATIENCE = Patience(close=1, pause=0.1, attempts=4, budget=10)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def steps(clock: Clock | None = None, patience: Patience = PATIENCE) -> ClaimSteps:
    return ClaimSteps(2, patience, chance=lambda: 0.5, clock=clock or Clock())


def ended(running: Any, answer: Any = None) -> Any:
    with pytest.raises(StopIteration) as end:
        running.send(answer)
    return end.value.value


def test_a_begin_is_made_once() -> None:
    running: Any = steps().begin([metadata("a")], [metadata("b")])
    call = next(running)
    assert (call.method, call.timeout) == ("BeginUpdate", PATIENCE.begin)
    assert [each.bucket.value for each in call.request.create_records] == ["a"]
    assert [each.bucket.value for each in call.request.destroy_records] == ["b"]
    with pytest.raises(ServiceAway):
        running.throw(ServiceAway("gone"))


def test_a_close_is_repeated_with_longer_and_longer_pauses() -> None:
    running: Any = steps().close(LEASE_1, commit=True)
    pauses = []
    assert next(running).method == "CommitUpdate"
    for failure in (ServiceAway("gone"), TooBusy("full"), ServiceAway("gone")):
        pauses.append(running.throw(failure))
        assert next(running) == Call("CommitUpdate", running.gi_yieldfrom.gi_frame.f_locals["request"], 1)
    assert pauses == [Pause(0.1), Pause(0.2), Pause(0.4)]
    with pytest.raises(ServiceAway, match="the last"):
        running.throw(ServiceAway("the last"))


def test_what_trying_again_does_not_help_is_not_tried_again() -> None:
    running: Any = steps().close(LEASE_1, commit=False)
    assert next(running).method == "RollbackUpdate"
    with pytest.raises(ClaimRefused):
        running.throw(ClaimRefused("no"))


def test_all_attempts_share_a_budget() -> None:
    clock = Clock()
    running: Any = steps(clock, Patience(close=4, pause=0.1, attempts=9, budget=5)).close(
        LEASE_1, commit=True
    )
    assert next(running).timeout == 4
    clock.now += 4
    assert running.throw(ServiceAway("slow")) == Pause(0.1)
    clock.now += 0.5
    assert next(running).timeout == 0.5  # what is left
    clock.now += 0.5
    with pytest.raises(ServiceAway):
        running.throw(ServiceAway("slow"))


def test_behind_a_transaction_the_lease_is_closed_as_it_ended() -> None:
    for failed, method in ((False, "CommitUpdate"), (True, "RollbackUpdate")):
        lease = HeldLease(LEASE_1)
        running: Any = steps().after(lease, failed=failed)
        assert next(running).method == method
        ended(running)
        assert lease.closed
    doubtful = HeldLease(LEASE_1)
    doubtful.about_to_commit()
    ended(steps().after(doubtful, failed=True))
    assert not doubtful.closed


def test_reconciling_reads_leases_first_and_forgets_last() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    forgotten: list[str] = []
    running: Any = steps().reconcile(dict, forgotten.append, now)
    page = service_pb2.ListLeasesResponse()
    page.leases.add().uuid.value = LEASE_1
    assert next(running).method == "ListLeases"
    assert running.send(page) == Local(dict)
    assert running.send({LEASE_1: now - timedelta(hours=1)}).method == "CommitUpdate"
    local = running.send(None)
    assert forgotten == []
    local.work()
    assert forgotten == [LEASE_1]
    assert ended(running) == (Commit(LEASE_1),)


def test_what_is_not_listed_is_committed_before_its_row_goes() -> None:
    """A replica that has lost its store does not list what was begun since, and its row is its only proof."""
    now = datetime(2026, 3, 1, tzinfo=UTC)
    stale = now - timedelta(hours=1)
    for answer in (None, ClaimRefused("lease_uuid: is no uuid")):
        running: Any = steps().reconcile(dict, lambda _: None, now)
        next(running)
        running.send(service_pb2.ListLeasesResponse())
        assert running.send({LEASE_1: stale}).method == "CommitUpdate"
        local = running.throw(answer) if answer else running.send(None)
        assert isinstance(local, Local)
        assert ended(running) == (Forget(LEASE_1),)
    running = steps().reconcile(dict, lambda _: None, now)
    next(running)
    running.send(service_pb2.ListLeasesResponse())
    running.send({LEASE_1: stale})
    with pytest.raises(ClaimRefused):  # nobody has looked whether it is there
        running.throw(ClaimRefused("may not", "ACCESS_DENIED"))


def test_ids_that_do_not_rise_byte_by_byte_are_told() -> None:
    """Decimal text sorts "10" before "9": the walk would go round for ever, or take rows for missing."""
    now = datetime(2026, 3, 1, tzinfo=UTC)
    rows = [
        metadata(f"n{at}")._replace(source=Source(SourceType.RAILS_TABLE_ROUTES, b"%d" % at))
        for at in (9, 10)
    ]
    running: Any = steps().verify_all(lambda *_: None, SourceType.RAILS_TABLE_ROUTES, (), now)
    assert isinstance(next(running), Local)
    assert running.send({rows[0].bucket: Stated(rows[0], now)}).method == "ListRecords"
    assert isinstance(running.send(service_pb2.ListRecordsResponse()), Local)
    with pytest.raises(ValueError, match="b'10', which is not behind it: ids are compared byte by byte"):
        running.send({rows[1].bucket: Stated(rows[1], now)})


def test_a_database_that_said_no_leaves_no_doubt() -> None:
    lease = HeldLease(LEASE_1)
    lease.about_to_commit()
    lease.not_committed()
    running: Any = steps().after(lease, failed=True)
    assert next(running).method == "RollbackUpdate"
    ended(running)
    assert lease.closed


def test_a_batch_holds_no_more_than_a_request_may() -> None:
    """A thousand long names with what else is kept of them would pass the service's limit of a message."""
    data = UserData("type.googleapis.com/x", b"x" * 16_000)
    big = [metadata(f"n{at}")._replace(user_data=data) for at in range(1000)]
    running: Any = steps().mend(Drift(tuple(big), (), ()))
    sizes, call = [], next(running)
    while call is not None:
        if call.method == "BeginUpdate":
            assert call.timeout == PATIENCE.batch, "nobody waits for it in a transaction"
            assert call.request.ByteSize() <= MAX_BATCH_BYTES
            sizes.append(len(call.request.create_records))
        try:
            call = running.send(service_pb2.BeginUpdateResponse())
        except StopIteration:
            call = None
    assert sum(sizes) == 1000
    assert len(sizes) == 2


def test_what_is_gone_already_need_not_be_destroyed() -> None:
    gone, there = metadata("gone"), metadata("there")
    running: Any = steps().mend(Drift((), (), (gone, there)))
    assert next(running).method == "BeginUpdate"
    missing = ClaimRefused("nobody claims it", "CLAIM_NOT_FOUND")
    assert [each.bucket.value for each in running.throw(missing).request.destroy_records] == ["gone"]
    again = running.throw(missing)
    assert [each.bucket.value for each in again.request.destroy_records] == ["there"]
    assert running.send(service_pb2.BeginUpdateResponse()).method == "CommitUpdate"
    assert ended(running) == ()
    running = steps().mend(Drift((), (), (gone,)))
    next(running)
    with pytest.raises(ClaimRefused, match="may not"):
        running.throw(ClaimRefused("may not", "ACCESS_DENIED"))


def test_mending_goes_set_by_set_and_tells_what_others_hold() -> None:
    missing, other, changed, extra = (metadata(name) for name in ("missing", "other", "changed", "extra"))
    running: Any = steps().mend(Drift((missing, other), (changed,), (extra,)))
    seen: list[tuple[list[str], list[str]]] = []
    held = {"other"}
    answer: Any = None
    failure: Exception | None = None
    told: tuple[Any, ...] | None = None
    while told is None:
        try:
            call = running.throw(failure) if failure else running.send(answer)
        except StopIteration as end:
            told = end.value
        else:
            answer, failure = service_pb2.BeginUpdateResponse(), None
            if call.method == "BeginUpdate":
                creates = [each.bucket.value for each in call.request.create_records]
                seen.append((creates, [each.bucket.value for each in call.request.destroy_records]))
                failure = NameTaken("taken") if held & set(creates) else None
    assert seen == [
        ([], ["changed", "extra"]),
        (["missing", "other", "changed"], []),
        (["missing"], []),
        (["other"], []),
        (["changed"], []),
    ]
    assert told == (other,)
