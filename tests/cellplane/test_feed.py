"""The feed: everybody hears everything, in order, and nobody holds it up."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from cellplane.feed import MOST_WAITING, Feed, FeedEvent


async def test_all_who_listen_hear_all_in_order() -> None:
    feed = Feed()
    async with aclosing(feed.events()) as one, aclosing(feed.events()) as other:
        heard = [asyncio.ensure_future(anext(each)) for each in (one, other)]
        await asyncio.sleep(0)
        assert feed.listeners == 2
        feed.put("push", {"id": "a"})
        feed.put("push", {"id": "b"})
        assert [await each for each in heard] == [FeedEvent(kind="push", body={"id": "a"})] * 2
        later = await anext(one)
        assert later == FeedEvent(kind="push", body={"id": "b"})
    assert feed.listeners == 0


async def test_who_is_too_slow_loses_the_oldest_and_is_told() -> None:
    feed = Feed()
    async with aclosing(feed.events()) as events:
        first = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        for number in range(MOST_WAITING + 3):
            feed.put("outcome", {"n": number})
        assert await first == FeedEvent(kind="lost", body={"events": 3})
        assert await anext(events) == FeedEvent(kind="outcome", body={"n": 3})


async def test_quiet_is_told_so_that_a_reader_who_left_is_noticed() -> None:
    feed = Feed()
    async with aclosing(feed.events(quiet_seconds=0.01)) as events:
        assert await anext(events) is None
        feed.put("frozen", {})
        assert await anext(events) == FeedEvent(kind="frozen", body={})


def test_an_event_as_a_browser_reads_it() -> None:
    event = FeedEvent(kind="frozen", body={"reason": "two\nlines"})
    assert event.as_server_sent() == b'event: frozen\ndata: {"reason":"two\\nlines"}\n\n'
