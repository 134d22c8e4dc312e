"""Watches on claims: from a cursor, in order, with bookmarks, and compaction told as such."""

from __future__ import annotations

import uuid
from typing import Any

import grpc

from pb.cellplane.topology.v1 import claims_watch_pb2 as wire
from pb.cellplane.topology.v1 import transfer_pb2
from tests.topology.claims.samples import LEASE_1, lease, owner, record, route
from tests.topology.service.stage import Client, Stage, drained, failure
from tests.topology.service.test_claim_service import begin, commit
from topology.claims.model import UserData
from topology.claims.owners import OwnerGone
from topology.claims.store import Changes, Gone, LeaseGone, Odd
from topology.memory import MemoryStore
from topology.service.claim_watch_service import AT_ONCE, MOST_BYTES, responses


class Watch:
    """A watch, read in order."""

    def __init__(self, client: Client, after: int = 0) -> None:
        self.call: Any = client.claim_watch.WatchClaims(
            wire.WatchClaimsRequest(after_cursor=after), timeout=10
        )

    async def read(self) -> wire.WatchClaimsResponse:
        answer = await self.call.read()
        assert isinstance(answer, wire.WatchClaimsResponse)
        return answer


def kinds(answer: wire.WatchClaimsResponse) -> list[str]:
    return sorted(str(each.WhichOneof("change")) for each in answer.changes)


async def test_it_begins_with_everything_and_goes_on_with_changes(stage: Stage, client: Client) -> None:
    await commit(client, 1, await begin(client, 1, ["acme"]))
    watch = Watch(client)
    first = await watch.read()
    assert (first.listing, first.partial, kinds(first)) == (True, False, ["record"])
    assert first.changes[0].record.metadata.bucket.value == "acme"
    bookmark = await watch.read()
    assert (bookmark.cursor, bookmark.listing, kinds(bookmark)) == (first.cursor, False, [])
    held = await begin(client, 1, ["new"], ["acme"])
    begun = await watch.read()
    assert kinds(begun) == ["lease", "record", "record"]
    assert begun.cursor > first.cursor
    await commit(client, 1, held)
    closed = await watch.read()
    assert kinds(closed) == ["lease_removed", "record", "record_removed"]


async def test_a_transfer_is_seen_at_one_cursor(stage: Stage, client: Client) -> None:
    await commit(client, 1, await begin(client, 1, ["acme"]))
    await stage.caught_up()
    watch = Watch(client)
    await watch.read()
    await watch.read()
    moving = transfer_pb2.TransferRequest(request_id=str(uuid.uuid4()), from_cell=1, to_cell=2)
    moving.owners.add(owner="NAMESPACE/42", expected_epoch=1)
    moved = await client.transfers.Transfer(moving)
    seen: list[tuple[int, int]] = []
    while not seen or seen[-1] != (2, 2):
        answer = await watch.read()
        for change in answer.changes:
            if change.WhichOneof("change") == "owner":
                seen.append((change.owner.cell_id, change.owner.epoch))
                assert (change.owner.epoch == 2) == (answer.cursor >= moved.cursor)
    assert seen == [(1, 1), (2, 2)]


async def test_it_resumes_right_after_a_cursor(stage: Stage, client: Client) -> None:
    watch = Watch(client)
    start = (await watch.read()).cursor
    lease = await begin(client, 1, ["acme"])
    resumed = Watch(client, start)
    assert kinds(await resumed.read()) == []
    assert kinds(await resumed.read()) == ["lease", "record"]
    await commit(client, 1, lease)
    assert kinds(await resumed.read()) == ["lease_removed", "record"]


async def test_lost_history_is_told_as_such(stage: Stage, client: Client) -> None:
    start = (await Watch(client).read()).cursor
    await begin(client, 1, ["acme"])
    assert isinstance(stage.store, MemoryStore)
    stage.store.compact()
    ended = await failure(drained(Watch(client, 1).call))
    assert (ended.code, ended.info.reason) == (grpc.StatusCode.OUT_OF_RANGE, "COMPACTED")
    future = await failure(drained(Watch(client, start + 10_000).call))
    assert (future.code, future.info.reason) == (grpc.StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN")
    bad = await failure(drained(Watch(client, -1).call))
    assert bad.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_watchers_are_sent_elsewhere_when_the_server_goes(stage: Stage, client: Client) -> None:
    watch = Watch(client)
    await watch.read()
    await watch.read()
    stage.server.claim_watches.watches.end()
    ended = await failure(drained(watch.call))
    assert (ended.code, ended.info.reason) == (grpc.StatusCode.UNAVAILABLE, "GOING_AWAY")


def test_no_message_is_more_than_clients_take() -> None:
    """Unless they are told otherwise they take 4 MB, and a claim may have 16 kB of user data."""
    data = UserData("t/x", b"x" * 16_000)
    each = record("n")
    large = each._replace(metadata=each.metadata._replace(user_data=data))
    found = list(responses(Changes(7, (large,) * (AT_ONCE + 1)), listed=False))
    assert max(message.ByteSize() for message in found) <= MOST_BYTES
    assert sum(len(message.changes) for message in found) == AT_ONCE + 1
    assert [message.partial for message in found] == [True] * (len(found) - 1) + [False]


def test_much_of_one_cursor_comes_in_several_messages() -> None:
    many = Changes(7, tuple(record(f"n{number}") for number in range(2 * AT_ONCE + 1)))
    found = list(responses(many, listed=True))
    assert [(len(each.changes), each.partial) for each in found] == [
        (AT_ONCE, True),
        (AT_ONCE, True),
        (1, False),
    ]
    assert {(each.cursor, each.listing) for each in found} == {(7, True)}
    (bookmark,) = responses(Changes(8), listed=False)
    assert (bookmark.cursor, bookmark.partial, bookmark.listing, len(bookmark.changes)) == (
        8,
        False,
        False,
        0,
    )


def test_each_change_has_its_form() -> None:
    entries = (
        Gone(route("a")),
        lease(),
        LeaseGone(LEASE_1),
        owner(2, 3),
        OwnerGone(owner().subject),
        Odd("/x", "is bad", "/x"),
    )
    ((message),) = responses(Changes(7, entries), listed=False)
    gone, held, freed, moved, settled = message.changes
    assert (gone.record_removed.type, gone.record_removed.value) == (1, "a")
    assert (held.lease.uuid, held.lease.cell_id, held.lease.phase) == (LEASE_1, 1, wire.LEASE_PHASE_OPEN)
    assert freed.lease_removed == LEASE_1
    assert (moved.owner.owner, moved.owner.cell_id, moved.owner.epoch) == ("NAMESPACE/42", 2, 3)
    assert settled.owner_removed == "NAMESPACE/42"
