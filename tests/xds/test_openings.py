"""What was worked out for one stream serves the next one, and nothing else changes."""

from __future__ import annotations

from typing import TypeAlias

import pytest

from tests.xds.configuration import both, snapshot
from xds.copies import ABSENT
from xds.delta import DeltaStream
from xds.holds import Holds
from xds.nodes import Node
from xds.openings import MOST_OF_A_TYPE, Opening, Openings
from xds.resource import CLUSTER, ENDPOINT, ResourceType
from xds.snapshot import Snapshot, diff
from xds.sotw import SotwStream
from xds.status import Fleet
from xds.terms import Terms
from xds.wire import Composer, DeltaRequest, Response, SotwRequest

Stream: TypeAlias = DeltaStream | SotwStream

NAMES = tuple(f"c{number}" for number in range(20))
ALL = snapshot(1, both(*NAMES))
NEXT = snapshot(2, both(*NAMES[1:]), both("c0", seconds=2, port=81))
VARIANTS = pytest.mark.parametrize("variant", [DeltaStream, SotwStream])


def opened(variant: type[Stream], terms: Terms) -> Stream:
    return variant(ALL, terms, Holds(), Fleet().opened(Node(id="n"), "edge", "ADS"), node_id="n")


def says(
    stream: Stream,
    kind: ResourceType,
    names: tuple[str, ...] = (),
    to: Response | None = None,
    error: str | None = None,
) -> list[Response]:
    """Ask (again) for names, or answer a response; return what the server says to that."""
    nonce = to.nonce if to else ""
    if isinstance(stream, DeltaStream):
        request = DeltaRequest(kind.type_url, None, () if to else names, (), {}, nonce, error)
        assert stream.receive(request) is None
    else:
        version = to.version if to and error is None else ""
        assert stream.receive(SotwRequest(kind.type_url, None, names, version, nonce, error)) is None
    return stream.to_send(0.0)


def synced(stream: Stream) -> list[Response]:
    """Let a client ask for all clusters and their endpoints and accept them; return what it was sent."""
    (clusters,) = says(stream, CLUSTER)
    (endpoints,) = says(stream, ENDPOINT, NAMES)
    assert says(stream, CLUSTER, (), clusters) == []
    assert says(stream, ENDPOINT, NAMES, endpoints) == []
    return [clusters, endpoints]


@VARIANTS
def test_streams_that_ask_for_the_same_share_the_response(variant: type[Stream]) -> None:
    terms = Terms(composer=Composer(""))
    one, other = opened(variant, terms), opened(variant, terms)
    first = synced(one)
    assert [response.payload for response in first] == [response.payload for response in synced(other)]
    assert [one.name for one in first[0].resources] == list(NAMES)
    for stream in (one, other):
        assert stream.settled
        stream.offer(NEXT, diff(ALL, NEXT))
        clusters, endpoints = stream.to_send(0.0)
        assert "c0" in {one.name for one in clusters.resources}
        assert [one.name for one in endpoints.resources] == ["c0"]


@VARIANTS
def test_it_is_what_the_full_look_at_each_name_gives(
    variant: type[Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    terms = Terms(composer=Composer(""))
    synced(opened(variant, terms))
    quick = synced(opened(variant, terms))
    monkeypatch.setattr(Openings, "find", lambda *_: None)
    slow = synced(opened(variant, Terms(composer=Composer(""))))
    assert [each.payload for each in quick] == [each.payload for each in slow]


@VARIANTS
def test_what_blocks_nobody_blocks_nobody_when_it_is_shared(variant: type[Stream]) -> None:
    """Routes wait for endpoints that are new to the client, not for those that only changed."""
    terms = Terms(composer=Composer(""))
    only_endpoints = Snapshot(3, {**ALL.resources, ENDPOINT: NEXT.of_type(ENDPOINT)})
    for stream in (opened(variant, terms), opened(variant, terms)):
        synced(stream)
        stream.offer(only_endpoints, diff(ALL, only_endpoints))
        stream.to_send(0.0)
        flight = stream.ledgers[ENDPOINT].in_flight
        assert flight is not None
        assert not flight.blocking


@VARIANTS
def test_what_changes_before_the_answer_is_sent_after_it(variant: type[Stream]) -> None:
    terms = Terms(composer=Composer(""))
    synced(opened(variant, terms))
    stream = opened(variant, terms)
    (clusters,) = says(stream, CLUSTER)
    stream.offer(NEXT, diff(ALL, NEXT))
    (later,) = says(stream, CLUSTER, (), clusters)
    assert next(one for one in later.resources if one.name == "c0") == NEXT.get(CLUSTER, "c0")
    says(stream, CLUSTER, (), later)
    assert stream.settled


def test_what_is_dropped_before_the_answer_is_not_taken_for_accepted() -> None:
    terms = Terms(composer=Composer(""))
    synced(opened(DeltaStream, terms))
    stream = opened(DeltaStream, terms)
    (endpoints,) = says(stream, ENDPOINT, NAMES)
    assert isinstance(stream, DeltaStream)
    stream.receive(DeltaRequest(ENDPOINT.type_url, None, (), ("c0",)))
    says(stream, ENDPOINT, (), endpoints)
    assert stream.settled
    # Asked for again, it is new to the client.
    (again,) = says(stream, ENDPOINT, ("c0",))
    assert [one.name for one in again.resources] == ["c0"]


@VARIANTS
def test_one_nodes_rejection_is_its_own(variant: type[Stream]) -> None:
    terms = Terms(composer=Composer(""))
    synced(opened(variant, terms))
    stream = opened(variant, terms)
    (clusters,) = says(stream, CLUSTER)
    (rest,) = says(stream, CLUSTER, (), clusters, "Error adding/updating cluster(s) c3: no")
    assert {one.name for one in rest.resources} == set(NAMES) - {"c3"}
    assert not stream.settled
    assert len(synced(opened(variant, terms))[0].resources) == len(NAMES)


def test_only_the_newest_of_a_type_are_kept() -> None:
    openings = Openings()
    made = [Opening({}, {str(number): ABSENT}, (), {}, (), False) for number in range(MOST_OF_A_TYPE + 1)]
    for opening in made:
        openings.keep(CLUSTER, opening)
    found = [openings.find(CLUSTER, opening.resources, opening.behind) for opening in made]
    assert found == [None, *made[1:]]
    assert openings.find(ENDPOINT, made[-1].resources, made[-1].behind) is None
    # Another snapshot's, however alike, is another.
    assert openings.find(CLUSTER, {}, made[-1].behind) is None


def test_a_snapshot_keeps_its_openings_while_other_types_change() -> None:
    terms = Terms(composer=Composer(""))
    synced(opened(DeltaStream, terms))
    only_endpoints = Snapshot(3, {**ALL.resources, ENDPOINT: NEXT.of_type(ENDPOINT)})
    stream = DeltaStream(
        only_endpoints, terms, Holds(), Fleet().opened(Node(id="n"), "edge", "ADS"), node_id="n"
    )
    (clusters,) = says(stream, CLUSTER)
    assert terms.openings.find(CLUSTER, ALL.of_type(CLUSTER), dict.fromkeys(NAMES, ABSENT)) is not None
    assert (clusters.version, len(clusters.resources)) == ("3", len(NAMES))


# --- the Delta response that most of a push is


def pushed(count: int, terms: Terms) -> list[DeltaStream]:
    """Return so many streams to which the same change was just sent, one after the other."""
    streams = []
    for _ in range(count):
        stream = opened(DeltaStream, terms)
        synced(stream)
        assert isinstance(stream, DeltaStream)
        streams.append(stream)
    for stream in streams:
        stream.offer(NEXT, diff(ALL, NEXT))
        stream.to_send(0.0)
    return streams


def test_what_was_said_to_others_is_said_as_it_is() -> None:
    terms = Terms(composer=Composer(""))
    streams = pushed(4, terms)
    flights = [stream.ledgers[CLUSTER].in_flight for stream in streams]
    assert all(flight is not None for flight in flights)
    assert flights[0] is not flights[1]
    assert flights[1] is flights[2] is flights[3]
    # Its children follow, and each answers for itself.
    for stream in streams:
        assert stream.ledgers[ENDPOINT].in_flight is not None
        for kind in (CLUSTER, ENDPOINT):
            flight = stream.ledgers[kind].in_flight
            assert flight is not None
            says(stream, kind, (), flight.response)
        assert stream.settled


def test_who_rejects_what_others_were_told_too_rejects_it_alone() -> None:
    streams = pushed(4, Terms(composer=Composer("")))
    flight = streams[2].ledgers[CLUSTER].in_flight
    assert flight is not None
    says(streams[2], CLUSTER, (), flight.response, "Error adding/updating cluster(s) c0: no")
    assert not streams[2].settled
    says(streams[3], CLUSTER, (), flight.response)
    assert not streams[3].ledgers[CLUSTER].behind


def test_who_has_seen_the_nonce_is_told_by_a_younger_one() -> None:
    terms = Terms(composer=Composer(""))
    streams = pushed(3, terms)
    back = snapshot(NEXT.revision, both(*NAMES))
    again = Snapshot(NEXT.revision, NEXT.resources)
    for new, old in ((back, NEXT), (again, back)):
        for stream in streams:
            flight = stream.ledgers[ENDPOINT].in_flight
            assert flight is not None
            says(stream, ENDPOINT, (), flight.response)
            stream.offer(new, diff(old, new))
            (response,) = [one for one in stream.to_send(0.0) if one.type is ENDPOINT]
            assert response.sequence > flight.response.sequence


@pytest.mark.parametrize("label", ["", "as they call it"])
def test_under_another_version_it_is_said_anew(label: str) -> None:
    terms = Terms(composer=Composer(""))
    pushed(3, terms)
    labels = {CLUSTER: label} if label else {}
    later = Snapshot(NEXT.revision + 1, NEXT.resources, labels=labels)
    stream = opened(DeltaStream, terms)
    synced(stream)
    stream.offer(later, diff(ALL, later))
    (clusters, _) = stream.to_send(0.0)
    assert clusters.version == (label or str(later.revision))
