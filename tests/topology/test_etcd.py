"""The client of etcd against a real one, and against one that has bad days; its contract is elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from pb.etcdserverpb import rpc_pb2
from pb.mvccpb import kv_pb2
from tests.certificates import Authority
from tests.conftest import StartEtcd
from tests.contract.etcd_admin import put_raw, require_passwords
from tests.contract.recording import recorded
from tests.etcd_server import EtcdServer
from tests.topology.fake_etcd import Failure, FakeEtcd, fake_etcd, header
from topology.errors import Compacted, OutcomeUnknown, Rewound, StoreRefused, StoreUnavailable, Torn
from topology.etcd import Access, EtcdStore, Timeouts
from topology.store import Batch, Committed, Compare, EventKind, Txn

PUT = Txn(puts=(("/a", b"1"),))


@asynccontextmanager
async def store_on(*endpoints: str, **options: Any) -> AsyncIterator[EtcdStore]:
    store = EtcdStore(endpoints, **options)
    try:
        yield store
    finally:
        await store.close()


# A real etcd


async def test_odd_keys_and_values_are_carried(etcd: EtcdServer, etcd_prefix: str) -> None:
    async with store_on(etcd.endpoint) as store:
        at = (await store.list(etcd_prefix)).revision
        async with recorded(store, etcd_prefix, at) as recording:
            await put_raw(etcd.endpoint, etcd_prefix.encode() + b"/\xff", b"\x00\xff")
            last = await put_raw(etcd.endpoint, f"{etcd_prefix}/ü".encode(), b"")
            await recording.reaches(last)
        listing = await store.list(etcd_prefix)
    assert [(each.key, each.value) for each in listing.records] == [
        (f"{etcd_prefix}/ü", b""),
        (f"{etcd_prefix}/\\xff", b"\x00\xff"),
    ]
    seen = [event.key for batch in recording.batches for event in batch.events]
    assert seen == [f"{etcd_prefix}/\\xff", f"{etcd_prefix}/ü"]


async def test_its_version_is_known(etcd: EtcdServer) -> None:
    async with store_on(etcd.endpoint) as store:
        assert await store.versions() == {etcd.endpoint: "3.5.1"}


async def test_a_revision_too_large_for_one_message_comes_whole(etcd: EtcdServer, etcd_prefix: str) -> None:
    names = [f"{etcd_prefix}/{number:02}" for number in range(10)]
    async with store_on(etcd.endpoint) as store:
        at = (await store.list(etcd_prefix)).revision
        # A watch that replays several large revisions gets them in fragments: etcd cuts above 1.5 MiB.
        for value in (b"a", b"b", b"c"):
            await store.commit(Txn(puts=tuple((name, value * 90_000) for name in names)))
        async with recorded(store, etcd_prefix, at) as recording:
            await recording.reaches(at + 3)
    changes = [batch for batch in recording.batches if batch.events]
    assert [[event.key for event in batch.events] for batch in changes] == [names] * 3


@asynccontextmanager
async def mtls_etcd(start: StartEtcd, authority: Authority) -> AsyncIterator[EtcdServer]:
    served = authority.issue("etcd", "127.0.0.1")
    yield await start(
        [
            f"--cert-file={served.cert}",
            f"--key-file={served.key}",
            f"--trusted-ca-file={authority.ca}",
            "--client-cert-auth=true",
        ],
        "https",
    )


async def test_tls_with_certificates_on_both_sides(etcd_server: StartEtcd, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    ours = authority.issue("cellplane", "cellplane")
    async with mtls_etcd(etcd_server, authority) as server:
        access = Access(tls=True, ca=authority.ca, cert=ours.cert, key=ours.key)
        async with store_on(server.endpoint, access=access) as store:
            committed = await store.commit(PUT)
            assert isinstance(committed, Committed)
            async with recorded(store, "/", committed.revision - 1) as recording:
                await recording.reaches(committed.revision)
        nobody = Access(tls=True, ca=authority.ca)
        stranger = Access(tls=True, ca=Authority(tmp_path / "other").ca, cert=ours.cert, key=ours.key)
        for refused in (nobody, stranger, Access()):
            async with store_on(server.endpoint, access=refused, timeouts=Timeouts(connect=1)) as store:
                with pytest.raises(StoreUnavailable):
                    await store.list("/")


async def test_renewed_certificates_are_taken_up(etcd_server: StartEtcd, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    ours = Authority(tmp_path / "old").issue("cellplane", "cellplane")
    access = Access(tls=True, ca=authority.ca, cert=ours.cert, key=ours.key)
    async with mtls_etcd(etcd_server, authority) as server, store_on(server.endpoint, access=access) as store:
        with pytest.raises(StoreUnavailable):
            await store.list("/")
        renewed = authority.issue("renewed", "cellplane")
        ours.cert.write_bytes(renewed.cert.read_bytes())
        ours.key.write_bytes(renewed.key.read_bytes())
        assert (await store.list("/")).records == ()


async def test_an_etcd_that_asks_for_a_password(etcd_server: StartEtcd) -> None:
    # Tokens of two seconds: some expire while the test runs.
    server = await etcd_server(["--auth-token-ttl=2"])
    await require_passwords(server.endpoint, "hunter2")
    root = Access(username="root", password="hunter2")
    async with store_on(server.endpoint, access=root) as store:
        committed = await store.commit(PUT)
        assert isinstance(committed, Committed)
        async with recorded(store, "/", committed.revision) as recording:
            last = await store.commit(PUT)
            assert isinstance(last, Committed)
            await recording.reaches(last.revision)
        # A token that etcd does not know, as one that has expired, is replaced without a word.
        store._endpoints._token = "no-such-token.1"
        assert isinstance(await store.commit(PUT), Committed)
        store._endpoints._token = "no-such-token.1"
        async with recorded(store, "/", last.revision) as recording:
            await recording.reaches(last.revision + 1)
    for access, words in [
        (Access(), "user name"),
        (Access(username="root", password="wrong"), "invalid user ID or password"),
        (Access(username="nobody", password="hunter2"), "permission denied"),
    ]:
        async with store_on(server.endpoint, access=access) as store:
            with pytest.raises(StoreRefused, match=words):
                await store.list("/")
            async with recorded(store, "/", committed.revision) as recording:
                assert isinstance(await recording.end(), StoreRefused)


# An etcd on a bad day


def records(*names: str, more: bool = False, revision: int = 100) -> rpc_pb2.RangeResponse:
    kvs = [kv_pb2.KeyValue(key=name.encode(), mod_revision=5, create_revision=5, version=1) for name in names]
    return rpc_pb2.RangeResponse(header=header(revision), kvs=kvs, more=more)


async def test_pages_are_all_of_the_first_ones_revision() -> None:
    async with fake_etcd() as fake, store_on(fake.endpoint, page=2) as store:
        fake.answers["Range"] = [records("/a", "/b", more=True), records("/c", revision=107)]
        listing = await store.list("/")
    assert (listing.revision, [each.key for each in listing.records]) == (100, ["/a", "/b", "/c"])
    first, second = fake.asked["Range"]
    assert (first.key, first.range_end, first.limit, first.revision) == (b"/", b"0", 2, 0)
    assert (second.key, second.range_end, second.limit, second.revision) == (b"/b\0", b"0", 4, 100)
    assert not first.serializable


async def test_a_page_that_is_too_large_is_asked_for_in_smaller_ones() -> None:
    def answer(request: rpc_pb2.RangeRequest) -> rpc_pb2.RangeResponse:
        names = [f"/{number}" for number in range(8) if f"/{number}".encode() >= request.key]
        page = records(*names[: request.limit], more=len(names) > request.limit)
        for each in page.kvs:
            each.value = b"x" * 30_000
        return page

    async with fake_etcd() as fake, store_on(fake.endpoint, page=100, message_bytes=100_000) as store:
        fake.answers["Range"] = [answer]
        assert [each.key for each in (await store.list("/")).records] == [f"/{number}" for number in range(8)]
    assert [each.limit for each in fake.asked["Range"]] == [100, 50, 25, 12, 6, 3, 3, 3]


async def test_a_record_that_is_too_large_is_refused() -> None:
    async with fake_etcd() as fake, store_on(fake.endpoint, page=2, message_bytes=50_000) as store:
        big = records("/a")
        big.kvs[0].value = b"x" * 60_000
        fake.answers["Range"] = [big]
        with pytest.raises(StoreRefused, match="larger than max"):
            await store.list("/")


async def test_a_commit_whose_answer_is_lost_is_unknown_and_sent_once() -> None:
    async with fake_etcd() as bad, fake_etcd() as good, store_on(bad.endpoint, good.endpoint) as store:
        bad.answers["Txn"] = [Failure(grpc.StatusCode.UNAVAILABLE, "etcdserver: request timed out")]
        with pytest.raises(OutcomeUnknown, match="timed out"):
            await store.commit(PUT)
        assert "Txn" not in good.asked
        assert await store.commit(PUT) == Committed(100)


async def test_a_transaction_that_writes_nothing_may_be_sent_again() -> None:
    async with fake_etcd() as bad, fake_etcd() as good, store_on(bad.endpoint, good.endpoint) as store:
        bad.answers["Txn"] = [Failure(grpc.StatusCode.UNAVAILABLE, "etcdserver: request timed out")]
        assert await store.commit(Txn(compares=(Compare("/a", 0),))) == Committed(100)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded"),
        (grpc.StatusCode.INVALID_ARGUMENT, "etcdserver: request is too large"),
    ],
)
async def test_a_commit_that_is_refused_did_not_happen(code: grpc.StatusCode, words: str) -> None:
    async with fake_etcd() as fake, store_on(fake.endpoint) as store:
        fake.answers["Txn"] = [Failure(code, words)]
        with pytest.raises(StoreRefused, match=words):
            await store.commit(PUT)


def change(revision: int, key: str = "/a", **more: Any) -> rpc_pb2.WatchResponse:
    kv = kv_pb2.KeyValue(key=key.encode(), create_revision=revision, mod_revision=revision, version=1)
    event = kv_pb2.Event(type=kv_pb2.Event.PUT, kv=kv)
    return rpc_pb2.WatchResponse(header=header(revision), events=[event], **more)


async def test_what_a_watch_asks_for() -> None:
    async with fake_etcd() as fake, store_on(fake.endpoint) as store:
        fake.next_watch(fake.created(), change(101), change(102, fragment=True), change(102, "/b"))
        async with recorded(store, "/p/", 100) as recording:
            await recording.reaches(102)
    request = fake.watch_requests[0].create_request
    assert (request.key, request.range_end, request.start_revision) == (b"/p/", b"/p0", 101)
    assert request.progress_notify
    assert request.fragment
    assert not request.filters
    assert fake.metadata["Watch"][0]["hasleader"] == "true"
    assert [batch.revision for batch in recording.batches] == [100, 101, 102]
    assert [event.key for event in recording.batches[2].events] == ["/a", "/b"]
    assert recording.batches[1].events[0].kind is EventKind.PUT
    # It stood where etcd was: there was no history to look for.
    assert "Range" not in fake.asked


CANCELLED = rpc_pb2.WatchResponse(header=header(), canceled=True, cancel_reason="etcdserver: no such thing")
COMPACTED = rpc_pb2.WatchResponse(header=header(), canceled=True, compact_revision=77)


@pytest.mark.parametrize(
    ("ending", "error", "words"),
    [
        (CANCELLED, StoreRefused, "no such thing"),
        (COMPACTED, Compacted, "up to revision 77"),
        (None, StoreUnavailable, "etcd ended the watch"),
        (Failure(grpc.StatusCode.UNAVAILABLE, "etcdserver: no leader"), StoreUnavailable, "no leader"),
        (change(100 + 1, "/b"), Torn, "revision 101 came in two pieces"),
    ],
)
async def test_how_a_watch_ends(ending: Any, error: type[Exception], words: str) -> None:
    async with fake_etcd() as fake, store_on(fake.endpoint) as store:
        fake.next_watch(fake.created(), change(101), ending)
        async with recorded(store, "/", 100) as recording:
            ended = await recording.end()
        assert type(ended) is error
        assert words in str(ended)
        assert [batch.revision for batch in recording.batches] == [100, 101]


async def test_a_watch_that_is_refused_from_the_start() -> None:
    async with fake_etcd() as fake, store_on(fake.endpoint) as store:
        fake.next_watch(CANCELLED)
        async with recorded(store, "/", 100) as recording:
            assert isinstance(await recording.end(), StoreRefused)
        fake.next_watch()
        hasty = store_on(fake.endpoint, timeouts=Timeouts(call=0.2))
        async with hasty as other, recorded(other, "/", 100) as recording:
            assert "no answer within 0.2 s" in str(await recording.end())


@pytest.mark.parametrize("reason", ["etcdserver: invalid auth token", "etcdserver: permission denied"])
async def test_a_watch_with_a_stale_token_is_opened_again(reason: str) -> None:
    refused = rpc_pb2.WatchResponse(header=header(), created=True, canceled=True, cancel_reason=reason)
    access = Access(username="root", password="hunter2")
    async with fake_etcd() as fake, store_on(fake.endpoint, access=access) as store:
        fake.answers["Authenticate"] = [
            rpc_pb2.AuthenticateResponse(header=header(), token=token) for token in ("old", "new")
        ]
        fake.next_watch(refused)
        fake.next_watch(fake.created(), change(101))
        async with recorded(store, "/", 100) as recording:
            await recording.reaches(101)
        assert [each["token"] for each in fake.metadata["Watch"]] == ["old", "new"]
        fake.next_watch(refused)
        fake.next_watch(refused)
        async with recorded(store, "/", 100) as recording:
            assert isinstance(await recording.end(), StoreRefused)


async def test_a_member_that_lags_is_no_store_that_went_back() -> None:
    async with fake_etcd() as fake, store_on(fake.endpoint) as store:
        # The member is at 95, and the cluster as a whole knows 100.
        fake.next_watch(fake.created(revision=95), change(101))
        async with recorded(store, "/", 100) as recording:
            await recording.reaches(101)
        (asked,) = fake.asked["Range"]
        assert (asked.revision, asked.limit, asked.keys_only) == (100, 1, True)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("required revision is a future revision", Rewound),
        ("required revision has been compacted", Compacted),
    ],
)
async def test_history_that_is_not_there_is_told_before_the_watch_stands(
    words: str, error: type[Exception]
) -> None:
    async with fake_etcd() as fake, store_on(fake.endpoint) as store:
        fake.next_watch(fake.created(revision=120))
        fake.answers["Range"] = [Failure(grpc.StatusCode.OUT_OF_RANGE, f"etcdserver: mvcc: {words}")]
        async with recorded(store, "/", 100) as recording:
            assert type(await recording.end()) is error
        assert recording.batches == []


async def test_another_cluster_behind_the_same_address_is_noticed() -> None:
    async with fake_etcd() as fake, store_on(fake.endpoint) as store:
        await store.list("/")
        fake.next_watch(fake.created(cluster=2))
        async with recorded(store, "/", 100) as recording:
            assert "not the same any more" in str(await recording.end())


QUICK = Timeouts(progress=0.05, silence=0.3)


@pytest.mark.parametrize(("version", "bookmarks"), [("3.5.21", [100, 105]), ("3.5.1", [100])])
async def test_a_quiet_watch_is_asked_how_far_it_has_come(version: str, bookmarks: list[int]) -> None:
    async with fake_etcd() as fake, store_on(fake.endpoint, timeouts=QUICK) as store:
        fake.answers["Status"] = [rpc_pb2.StatusResponse(header=header(), version=version)]
        queue = fake.next_watch(fake.created())
        async with recorded(store, "/", 100) as recording:
            await asked_for_progress(fake)
            queue.put_nowait(rpc_pb2.WatchResponse(header=header(105), watch_id=-1))
            queue.put_nowait(change(106))
            await recording.reaches(106)
    assert [batch.revision for batch in recording.batches] == [*bookmarks, 106]


async def asked_for_progress(fake: FakeEtcd) -> None:
    async with asyncio.timeout(5), fake.stirred:
        await fake.stirred.wait_for(lambda: fake.watch_requests[-1].HasField("progress_request"))


async def test_a_watch_that_stays_silent_is_given_up() -> None:
    async with (
        fake_etcd() as fake,
        fake_etcd() as other,
        store_on(fake.endpoint, other.endpoint, timeouts=QUICK) as store,
    ):
        fake.next_watch(fake.created())
        async with recorded(store, "/", 100) as recording:
            assert str(await recording.end()) == "no answer within 0.3 s"
        # The next one is asked of another endpoint.
        other.next_watch(other.created(), change(101))
        async with recorded(store, "/", 100) as recording:
            await recording.reaches(101)


async def test_a_version_that_does_not_answer_is_not_asked() -> None:
    patience = Timeouts(progress=0.02, silence=0.1)
    async with fake_etcd() as fake, store_on(fake.endpoint, timeouts=patience) as store:
        fake.answers["Status"] = [rpc_pb2.StatusResponse(header=header(), version="3.5.10")]
        queue = fake.next_watch(fake.created())
        async with recorded(store, "/", 100) as recording:
            await asyncio.sleep(2 * patience.silence)  # silence is what is looked for
            queue.put_nowait(change(101))
            await recording.reaches(101)
        assert len(fake.watch_requests) == 1


async def test_an_etcd_that_hides_its_version_is_followed_all_the_same() -> None:
    async with fake_etcd() as fake, store_on(fake.endpoint, timeouts=QUICK) as store:
        fake.answers["Status"] = [Failure(grpc.StatusCode.PERMISSION_DENIED, "etcdserver: permission denied")]
        fake.next_watch(fake.created(), change(101))
        async with recorded(store, "/", 100) as recording:
            await recording.reaches(101)
        assert await store.versions() == {fake.endpoint: ""}


async def test_a_watch_that_is_closed_leaves_nothing_behind() -> None:
    async with fake_etcd() as fake, store_on(fake.endpoint) as store:
        fake.next_watch(fake.created())
        async with aclosing(store.watch("/", 100)) as batches:
            assert await anext(batches) == Batch(100)
        async with asyncio.timeout(5):
            while any("_consume_request_iterator" in repr(task.get_coro()) for task in asyncio.all_tasks()):
                await asyncio.sleep(0.005)
