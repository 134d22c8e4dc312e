from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pb.etcdserverpb import rpc_pb2
from pb.mvccpb import kv_pb2
from topology.errors import Torn
from topology.etcd_batches import Assembly, Progress, progress_of
from topology.store import Batch, Event, EventKind, Record

GOOD = Progress(answers=True, truthful=True)
EARLY = Progress(answers=True, truthful=False)


def raw(revision: int, key: str) -> kv_pb2.Event:
    kv = kv_pb2.KeyValue(
        key=key.encode(), value=b"v", create_revision=revision, mod_revision=revision, version=1
    )
    return kv_pb2.Event(type=kv_pb2.Event.PUT, kv=kv)


def response(
    *events: kv_pb2.Event, at: int = 0, fragment: bool = False, watch_id: int = 0
) -> rpc_pb2.WatchResponse:
    newest = at or max(each.kv.mod_revision for each in events)
    header = rpc_pb2.ResponseHeader(revision=newest)
    return rpc_pb2.WatchResponse(header=header, watch_id=watch_id, events=events, fragment=fragment)


def batch(revision: int, *keys: str) -> Batch:
    return Batch(
        revision,
        tuple(Event(EventKind.PUT, key, revision, Record(key, b"v", revision, revision, 1)) for key in keys),
    )


def assembled(after: int, *responses: rpc_pb2.WatchResponse, progress: Progress = GOOD) -> list[Batch]:
    assembly = Assembly(after, progress)
    return [each for one in responses for each in assembly.feed(one)]


def test_a_response_is_divided_by_revision() -> None:
    got = assembled(10, response(raw(11, "a"), raw(11, "b"), raw(13, "a")), response(raw(14, "c")))
    assert got == [batch(11, "a", "b"), batch(13, "a"), batch(14, "c")]


def test_fragments_are_put_together() -> None:
    got = assembled(
        10,
        response(raw(11, "a"), raw(12, "a"), fragment=True),
        response(raw(12, "b"), fragment=True),
        response(raw(12, "c"), raw(13, "a")),
    )
    assert got == [batch(11, "a"), batch(12, "a", "b", "c"), batch(13, "a")]


def test_a_last_fragment_may_be_empty() -> None:
    assert assembled(10, response(raw(11, "a"), fragment=True), response(at=11)) == [batch(11, "a")]


def test_a_revision_that_comes_in_two_pieces_unannounced_ends_the_watch() -> None:
    assembly = Assembly(10, GOOD)
    assert list(assembly.feed(response(raw(11, "a")))) == [batch(11, "a")]
    with pytest.raises(Torn) as caught:
        list(assembly.feed(response(raw(11, "b"))))
    assert caught.value.revision == 11


def test_an_event_behind_a_bookmark_ends_the_watch() -> None:
    assembly = Assembly(10, GOOD)
    assert list(assembly.feed(response(at=15))) == [Batch(15)]
    with pytest.raises(Torn):
        list(assembly.feed(response(raw(14, "a"))))


def test_what_was_delivered_may_come_again_and_is_dropped() -> None:
    again = response(raw(11, "a"), raw(11, "b"))
    assert assembled(10, again, again, response(raw(11, "b")), response(raw(12, "a"))) == [
        batch(11, "a", "b"),
        batch(12, "a"),
    ]


def test_what_is_older_than_asked_for_is_dropped() -> None:
    assert assembled(10, response(raw(9, "a"), raw(10, "b"), raw(11, "a"))) == [batch(11, "a")]


def test_a_bookmark_moves_forward_only() -> None:
    assert assembled(
        10, response(at=12), response(at=11), response(at=12), response(raw(13, "a")), response(at=13)
    ) == [
        Batch(12),
        Batch(12),
        batch(13, "a"),
        Batch(13),
    ]


def test_a_bookmark_at_the_last_revision_keeps_what_may_come_again() -> None:
    got = assembled(10, response(raw(11, "a")), response(at=11), response(raw(11, "a")))
    assert got == [batch(11, "a"), Batch(11)]


def test_a_bookmark_that_was_asked_for_counts_only_where_it_is_true() -> None:
    asked = response(at=12, watch_id=-1)
    assert assembled(10, asked, response(raw(13, "a"))) == [Batch(12), batch(13, "a")]
    assert assembled(10, asked, response(raw(11, "a")), progress=EARLY) == [batch(11, "a")]
    # What etcd sends of its own accord for this watch is always true.
    assert assembled(10, response(at=12), progress=EARLY) == [Batch(12)]


@pytest.mark.parametrize(
    ("version", "answers", "truthful"),
    [
        ("3.3.27", False, False),
        ("3.4.0", True, False),
        ("3.4.24", True, False),
        ("3.4.25", False, False),
        ("3.4.30", False, False),
        ("3.4.31", True, True),
        ("3.5.1", True, False),
        ("3.5.7", True, False),
        ("3.5.8", False, False),
        ("3.5.12", False, False),
        ("3.5.13", True, True),
        ("3.5.21", True, True),
        ("3.6.0", True, True),
        ("3.6.0-rc.1", True, True),
        ("3.7.0-alpha", True, True),
        ("4.0.0", True, True),
        ("", False, False),
        ("unheard of", False, False),
    ],
)
def test_what_a_version_is_trusted_with(version: str, answers: bool, truthful: bool) -> None:
    assert progress_of(version) == Progress(answers=answers, truthful=truthful)


@st.composite
def histories_and_cuts(draw: st.DrawFn) -> tuple[list[Batch], list[rpc_pb2.WatchResponse]]:
    """Draw a history and responses that carry it: cut anywhere into fragments, otherwise whole revisions."""
    sizes = draw(st.lists(st.integers(1, 4), max_size=8))
    history = [batch(11 + at, *"abcd"[:size]) for at, size in enumerate(sizes)]
    events = [raw(each.revision, event.key) for each in history for event in each.events]
    responses: list[rpc_pb2.WatchResponse] = []
    while events:
        cut = draw(st.integers(1, len(events)))
        piece, events = events[:cut], events[cut:]
        inside = bool(events) and events[0].kv.mod_revision == piece[-1].kv.mod_revision
        responses.append(response(*piece, fragment=inside or (bool(events) and draw(st.booleans()))))
        if not responses[-1].fragment and draw(st.booleans()):
            responses.append(response(at=piece[-1].kv.mod_revision))
    return history, responses


@given(histories_and_cuts())
def test_however_etcd_cuts_it_whole_revisions_come_out(
    drawn: tuple[list[Batch], list[rpc_pb2.WatchResponse]],
) -> None:
    history, responses = drawn
    assert [each for each in assembled(10, *responses) if each.events] == history
