from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest

from cellplane.demo.free_port import free_port
from pb.etcdserverpb import rpc_pb2
from tests.topology.fake_etcd import Failure, FakeEtcd, fake_etcd, header
from topology.errors import OutcomeUnknown, StoreError, StoreRefused, StoreUnavailable
from topology.etcd_access import Access, Timeouts
from topology.etcd_connection import Connection, Endpoints, Metadata

QUICK = Timeouts(connect=1.0, call=0.5)
MESSAGE = 4 * 1024 * 1024


@asynccontextmanager
async def endpoints(
    *addresses: str, access: Access | None = None, timeouts: Timeouts = QUICK
) -> AsyncIterator[Endpoints]:
    made = Endpoints(addresses, access or Access(), timeouts, MESSAGE)
    try:
        yield made
    finally:
        await made.close()


async def ask(connection: Connection, metadata: Metadata) -> rpc_pb2.RangeResponse:
    return await connection.kv.Range(rpc_pb2.RangeRequest(key=b"/a"), metadata=metadata)


def dead() -> str:
    return f"127.0.0.1:{free_port()}"


def said(revision: int) -> rpc_pb2.RangeResponse:
    return rpc_pb2.RangeResponse(header=header(revision))


def test_there_is_an_endpoint() -> None:
    with pytest.raises(ValueError, match="no etcd endpoint"):
        Endpoints((), Access(), QUICK, MESSAGE)


async def test_a_call_goes_to_an_endpoint_that_answers() -> None:
    async with fake_etcd() as fake, endpoints(dead(), fake.endpoint, dead()) as reached:
        for _ in range(3):
            assert (await reached.call(ask, repeatable=True)).header.revision == 100
        assert (await reached.call(ask, repeatable=False)).header.revision == 100
        assert len(fake.asked["Range"]) == 4
        assert (await reached.connect()).endpoint == fake.endpoint


async def test_nobody_there_is_told_with_every_endpoint() -> None:
    first, second = dead(), dead()
    async with endpoints(first, second) as reached:
        with pytest.raises(StoreUnavailable) as caught:
            await reached.call(ask, repeatable=True)
    assert not isinstance(caught.value, OutcomeUnknown)
    assert f"{first}: " in str(caught.value)
    assert f"{second}: " in str(caught.value)
    assert "Connection refused" in str(caught.value)


async def test_what_was_never_sent_is_not_unknown() -> None:
    async with endpoints(dead()) as reached:
        with pytest.raises(StoreUnavailable) as caught:
            await reached.call(ask, repeatable=False)
    assert not isinstance(caught.value, OutcomeUnknown)


@pytest.mark.parametrize("words", ["etcdserver: leader changed", "etcdserver: request timed out"])
async def test_an_endpoint_that_fails_is_left_for_the_next(words: str) -> None:
    async with fake_etcd() as bad, fake_etcd() as good, endpoints(bad.endpoint, good.endpoint) as reached:
        bad.answers["Range"] = [Failure(grpc.StatusCode.UNAVAILABLE, words)]
        good.answers["Range"] = [said(7)]
        assert (await reached.call(ask, repeatable=True)).header.revision == 7
        assert (await reached.call(ask, repeatable=True)).header.revision == 7
        assert len(bad.asked["Range"]) == 1


async def test_a_call_without_an_answer_is_unknown_unless_it_may_be_repeated() -> None:
    async def never(_: object) -> object:
        await asyncio.Event().wait()
        return None

    async with fake_etcd() as stuck, fake_etcd() as good, endpoints(stuck.endpoint, good.endpoint) as reached:
        stuck.answers["Range"] = [never]
        with pytest.raises(OutcomeUnknown, match=r"no answer within 0\.5 s"):
            await reached.call(ask, repeatable=False)
        assert "Range" not in good.asked
        assert (await reached.call(ask, repeatable=False)).header.revision == 100
        assert len(good.asked["Range"]) == 1


async def test_a_refusal_is_not_tried_elsewhere() -> None:
    async with (
        fake_etcd() as first,
        fake_etcd() as second,
        endpoints(first.endpoint, second.endpoint) as reached,
    ):
        first.answers["Range"] = [Failure(grpc.StatusCode.PERMISSION_DENIED, "etcdserver: permission denied")]
        with pytest.raises(StoreRefused, match="permission denied"):
            await reached.call(ask, repeatable=True)
        assert "Range" not in second.asked


async def test_an_endpoint_that_comes_back_is_used_again() -> None:
    async with fake_etcd() as fake, endpoints(fake.endpoint) as reached:
        await reached.call(ask, repeatable=True)
        port = int(fake.endpoint.rpartition(":")[2])
        first = await reached.connect()
    async with endpoints(fake.endpoint) as reached:
        with pytest.raises(StoreUnavailable):
            await reached.call(ask, repeatable=True)
        async with fake_etcd(port):
            assert (await reached.call(ask, repeatable=True)).header.revision == 100
            assert (await reached.connect()) is not first


async def test_closing_ends_calls_without_cancelling_whoever_waits() -> None:
    async def never(_: object) -> object:
        await asyncio.Event().wait()
        return None

    async with fake_etcd() as fake:
        fake.answers["Range"] = [never]
        reached = Endpoints((fake.endpoint,), Access(), Timeouts(call=30), MESSAGE)

        async def wait() -> StoreError | None:
            try:
                await reached.call(ask, repeatable=True)
            except StoreError as error:
                return error
            return None

        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(wait())
            while "Range" not in fake.asked:
                await asyncio.sleep(0.005)
            await reached.close()
        assert isinstance(waiting.result(), StoreUnavailable)
        with pytest.raises(StoreUnavailable, match="closed"):
            await reached.connect()


async def test_whoever_cancels_a_call_is_obeyed() -> None:
    async def never(_: object) -> object:
        await asyncio.Event().wait()
        return None

    async with fake_etcd() as fake, endpoints(fake.endpoint, timeouts=Timeouts(call=30)) as reached:
        fake.answers["Range"] = [never]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reached.call(ask, repeatable=True)
        fake.answers["Range"] = [said(7)]
        assert (await reached.call(ask, repeatable=True)).header.revision == 7


# Tokens

ROOT = Access(username="root", password="hunter2")
STALE = Failure(grpc.StatusCode.UNAUTHENTICATED, "etcdserver: invalid auth token")
OLD = Failure(grpc.StatusCode.INVALID_ARGUMENT, "etcdserver: revision of auth store is old")


def token(number: int) -> rpc_pb2.AuthenticateResponse:
    return rpc_pb2.AuthenticateResponse(header=header(), token=f"token-{number}")


def tokens_seen(fake: FakeEtcd, call: str = "Range") -> list[str | None]:
    return [metadata.get("token") for metadata in fake.metadata[call]]


async def test_without_a_user_there_is_no_token() -> None:
    async with fake_etcd() as fake, endpoints(fake.endpoint) as reached:
        await reached.call(ask, repeatable=True)
        assert tokens_seen(fake) == [None]
        assert "Authenticate" not in fake.asked


async def test_a_token_is_fetched_once_and_sent_along() -> None:
    async with fake_etcd() as fake, endpoints(fake.endpoint, access=ROOT) as reached:
        await asyncio.gather(*(reached.call(ask, repeatable=True) for _ in range(5)))
        assert [(each.name, each.password) for each in fake.asked["Authenticate"]] == [("root", "hunter2")]
        assert tokens_seen(fake) == ["token-1"] * 5


@pytest.mark.parametrize("words", [STALE, OLD])
@pytest.mark.parametrize("repeatable", [True, False])
async def test_a_stale_token_is_renewed(words: Failure, repeatable: bool) -> None:
    async with fake_etcd() as fake, endpoints(fake.endpoint, access=ROOT) as reached:
        fake.answers["Authenticate"] = [token(1), token(2)]
        await reached.call(ask, repeatable=True)
        fake.answers["Range"] = [words, said(9)]
        assert (await reached.call(ask, repeatable=repeatable)).header.revision == 9
        assert tokens_seen(fake) == ["token-1", "token-1", "token-2"]


async def test_many_who_find_the_token_stale_renew_it_once() -> None:
    async with fake_etcd() as fake, endpoints(fake.endpoint, access=ROOT) as reached:
        fake.answers["Authenticate"] = [token(1), token(2), token(3)]
        await reached.call(ask, repeatable=True)
        fake.answers["Range"] = [*([STALE] * 4), said(9)]
        await asyncio.gather(*(reached.call(ask, repeatable=True) for _ in range(4)))
        assert len(fake.asked["Authenticate"]) == 2


async def test_a_token_that_is_never_good_is_a_refusal() -> None:
    async with fake_etcd() as fake, endpoints(fake.endpoint, access=ROOT) as reached:
        fake.answers["Range"] = [STALE]
        with pytest.raises(StoreRefused, match="invalid auth token"):
            await reached.call(ask, repeatable=True)
        assert len(fake.asked["Range"]) == 2


async def test_a_wrong_password_is_told() -> None:
    wrong = Failure(
        grpc.StatusCode.INVALID_ARGUMENT, "etcdserver: authentication failed, invalid user ID or password"
    )
    async with fake_etcd() as fake, endpoints(fake.endpoint, access=ROOT) as reached:
        fake.answers["Authenticate"] = [wrong]
        with pytest.raises(StoreRefused, match="invalid user ID or password"):
            await reached.call(ask, repeatable=True)


async def test_an_etcd_that_asks_for_nobody_gets_no_token() -> None:
    off = Failure(grpc.StatusCode.FAILED_PRECONDITION, "etcdserver: authentication is not enabled")
    async with fake_etcd() as fake, endpoints(fake.endpoint, access=ROOT) as reached:
        fake.answers["Authenticate"] = [off]
        await reached.call(ask, repeatable=True)
        assert tokens_seen(fake) == [None]


# TLS


async def test_files_that_are_missing_are_named(tmp_path: Path) -> None:
    access = Access(tls=True, ca=tmp_path / "ca.pem")
    async with endpoints("127.0.0.1:1", access=access) as reached:
        with pytest.raises(StoreRefused, match=r"ca\.pem"):
            await reached.call(ask, repeatable=True)


async def test_a_peer_that_takes_the_connection_and_says_nothing_is_left() -> None:
    held: list[asyncio.StreamWriter] = []

    async def mute(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    hasty = Timeouts(connect=0.2)
    async with fake_etcd() as fake, endpoints(address, fake.endpoint, timeouts=hasty) as reached:
        assert (await reached.call(ask, repeatable=False)).header.revision == 100
    async with endpoints(address, timeouts=hasty) as reached:
        with pytest.raises(StoreUnavailable, match=r"no connection within 0\.2 s"):
            await reached.call(ask, repeatable=True)
    server.close()
    for writer in held:
        writer.close()


async def test_callers_on_one_dead_endpoint_hear_of_it_and_are_not_cancelled() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused at once, and nobody else's meanwhile
        dead = f"127.0.0.1:{taken.getsockname()[1]}"

        async def insist(reached: Endpoints) -> None:
            for _ in range(12):
                with pytest.raises(StoreUnavailable):
                    await reached.call(ask, repeatable=True)

        async with endpoints(dead, timeouts=Timeouts(connect=0.3)) as reached:
            outcomes = await asyncio.gather(*(insist(reached) for _ in range(6)), return_exceptions=True)

    assert outcomes == [None] * 6
