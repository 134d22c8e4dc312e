"""All claims in memory: found, paged, and kept up to date."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.topology.claims.samples import LEASE_1, LEASE_2, NOON, OWNER, lease, metadata, owner, record, route
from topology.claims.index import ClaimIndex, LeaseQuery, RecordQuery
from topology.claims.model import (
    Bucket,
    BucketType,
    Lease,
    Phase,
    Record,
    Source,
    SourceType,
    Status,
    UserData,
)
from topology.claims.owners import OwnerGone
from topology.claims.store import Changes, Entry, Gone, LeaseGone, Odd


def index_of(*entries: Entry) -> ClaimIndex:
    index = ClaimIndex()
    index.load(Changes(100, entries))
    return index


def row(value: str, number: int, kind: BucketType = BucketType.ROUTES, cell_id: int = 1) -> Record:
    return record(value, cell_id)._replace(metadata=metadata(value, number, kind))


def values(found: tuple[tuple[Record, ...], bool]) -> tuple[list[str], bool]:
    return [each.bucket.value for each in found[0]], found[1]


def number(given: int) -> bytes:
    return given.to_bytes(8, "big")


def test_it_finds_what_there_is() -> None:
    index = index_of(record("a"), record("b", 2))
    assert index.find(route("b")) == record("b", 2)
    assert index.find(route("c")) is None
    assert index.find(Bucket(BucketType.EMAILS, "a")) is None
    assert (len(index), index.cursor) == (2, 100)


def test_it_sees_records_in_the_light_of_their_lease() -> None:
    held = record("a", 1, Status.LEASE_CREATING, LEASE_1)
    index = index_of(held, lease())
    assert index.find(route("a")) == held
    index.apply(Changes(101, (lease(phase=Phase.ROLLING_BACK),)))
    assert index.find(route("a")) is None
    index.apply(Changes(102, (lease(phase=Phase.COMMITTING),)))
    assert index.find(route("a")) == record("a")
    assert index.unfinished() == (LEASE_1,)
    index.apply(Changes(103, (LeaseGone(LEASE_1),)))
    assert index.find(route("a")) == held
    assert index.unfinished() == ()


def test_steps_move_it_on_and_old_steps_do_not() -> None:
    index = index_of(record("a"))
    index.apply(Changes(101, (Gone(route("a")), record("b"))))
    assert index.find(route("a")) is None
    index.apply(Changes(101, (record("a"),)))
    assert index.find(route("a")) is None
    index.apply(Changes(105))
    assert index.cursor == 105
    index.load(Changes(50, (record("c"),)))
    assert (index.find(route("b")), index.cursor) == (None, 50)


def test_what_cannot_be_read_is_kept_and_counts_as_it_was() -> None:
    index = index_of(record("a"), Odd("/c-claims/x", "nothing", "/c-claims/x"))
    index.apply(Changes(101, (Odd("/c-claims/records/ROUTES/a", "no JSON", route("a")),)))
    index.apply(Changes(102, (Odd("/c-claims/leases/l", "no JSON", LEASE_1),)))
    assert index.find(route("a")) == record("a")
    assert {odd.key for odd in index.odd.values()} == {
        "/c-claims/x",
        "/c-claims/records/ROUTES/a",
        "/c-claims/leases/l",
    }
    index.apply(Changes(103, (record("a", 2), Odd("/c-claims/x", "", "/c-claims/x"))))
    assert set(index.odd) == {LEASE_1}
    index.apply(Changes(104, (lease(),)))
    assert not index.odd
    index.apply(Changes(105, (Odd("k", "no", LEASE_1), Odd("k2", "no", route("a")))))
    index.apply(Changes(106, (LeaseGone(LEASE_1), Gone(route("a")))))
    assert not index.odd


def test_records_come_by_source_id() -> None:
    index = index_of(row("c", 3), row("a", 300), row("b", 2), row("other", 1, cell_id=2))
    assert values(index.records(RecordQuery(cell_id=1))) == (["b", "c", "a"], False)
    assert values(index.records(RecordQuery(cell_id=1, after=number(2)))) == (["c", "a"], False)
    assert values(index.records(RecordQuery(cell_id=1, after=number(2), upto=number(3)))) == (["c"], False)
    assert values(index.records(RecordQuery(cell_id=3))) == ([], False)


def test_records_are_narrowed_by_table_and_bucket() -> None:
    user = row("u", 1, BucketType.USERNAMES)._replace(
        metadata=metadata("u", 1, BucketType.USERNAMES)._replace(
            source=Source(SourceType.RAILS_TABLE_USERS, number(1)),
        ),
    )
    index = index_of(row("r", 1), user, row("e", 2, BucketType.EMAILS))
    routes = RecordQuery(cell_id=1, source=SourceType.RAILS_TABLE_ROUTES)
    assert values(index.records(routes)) == (["r", "e"], False)
    assert values(index.records(replace(routes, buckets=frozenset({BucketType.EMAILS})))) == (["e"], False)
    assert values(index.records(RecordQuery(cell_id=1))) == (["u", "r", "e"], False) or values(
        index.records(RecordQuery(cell_id=1))
    ) == (["r", "u", "e"], False)


def test_a_page_ends_between_two_source_ids() -> None:
    """A client reads on after the last id of a page: nothing of that id may be left for the next."""
    records = [row(f"{at}-{kind.value}", at, kind) for at in (1, 2, 3) for kind in list(BucketType)[:3]]
    index = index_of(*records)
    seen: list[str] = []
    after, truncated = b"", True
    while truncated:
        page, truncated = index.records(RecordQuery(cell_id=1, limit=2, after=after))
        assert len(page) == 3
        seen += [each.bucket.value for each in page]
        after = page[-1].metadata.source.id
    assert seen == [each.bucket.value for each in records]


def test_a_page_has_only_so_much_room() -> None:
    data = UserData("t/x", b"x" * 400)
    records = [row(str(at), at) for at in range(5)]
    index = index_of(*(each._replace(metadata=each.metadata._replace(user_data=data)) for each in records))
    assert values(index.records(RecordQuery(cell_id=1, room=800))) == (["0", "1"], True)
    assert values(index.records(RecordQuery(cell_id=1, room=1, after=number(3)))) == (["4"], False)


def test_records_that_do_not_count_are_not_listed() -> None:
    index = index_of(record("a", 1, Status.LEASE_CREATING, LEASE_1), lease(phase=Phase.PREPARING))
    assert index.records(RecordQuery(cell_id=1)) == ((), False)


def test_what_a_cell_owns_is_counted() -> None:
    index = index_of(record("a"), record("b"), record("c", 2), lease())
    index.apply(Changes(101, (Gone(route("b")), lease(LEASE_2))))
    assert (index.owned_by(1), index.owned_by(2), index.owned_by(3)) == ((1, 2), (1, 0), (0, 0))


def aged(uuid: str, minutes: int, cell_id: int = 1, phase: Phase = Phase.OPEN) -> Lease:
    return lease(uuid, cell_id, phase, NOON + timedelta(minutes=minutes))


def test_leases_come_by_age_in_pages() -> None:
    index = index_of(
        aged(LEASE_2, 1),
        aged(LEASE_1, 1),
        aged(LEASE_1.replace("1", "3"), 0),
        aged(LEASE_1.replace("1", "4"), 0, cell_id=2),
        aged(LEASE_1.replace("1", "5"), 0, phase=Phase.COMMITTING),
    )
    first, more = index.open_leases(LeaseQuery(cell_id=1, limit=2))
    assert ([each.uuid[-1] for each in first], more) == (["3", "1"], True)
    rest, more = index.open_leases(
        LeaseQuery(cell_id=1, limit=2, after=(first[-1].created_at, first[-1].uuid))
    )
    assert ([each.uuid[-1] for each in rest], more) == (["2"], False)
    late, more = index.open_leases(LeaseQuery(cell_id=1, created_after=NOON))
    assert ([each.uuid[-1] for each in late], more) == (["1", "2"], False)
    assert index.oldest_lease() is not None
    oldest = index.oldest_lease()
    assert oldest is not None
    assert oldest.created_at == NOON
    assert index_of().oldest_lease() is None


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.integers(0, 3), st.integers(1, 2), st.booleans()), max_size=40
    )
)
def test_steps_lead_where_a_listing_leads(steps: list[tuple[str, int, int, bool]]) -> None:
    stepped, there = index_of(), dict[str, Record]()
    for cursor, (value, source, cell_id, written) in enumerate(steps, 101):
        if written:
            there[value] = row(value, source, cell_id=cell_id)
            stepped.apply(Changes(cursor, (there[value],)))
        else:
            there.pop(value, None)
            stepped.apply(Changes(cursor, (Gone(route(value)),)))
    listed = index_of(*there.values())
    for cell_id in (1, 2):
        query = RecordQuery(cell_id=cell_id)
        assert stepped.records(query) == listed.records(query)
    assert len(stepped) == len(listed) == len(there)


@pytest.mark.parametrize("limit", [1, 5])
def test_ids_that_begin_alike_are_told_apart(limit: int) -> None:
    def raw(value: str, source_id: bytes) -> Record:
        given = metadata(value)
        source = given.source._replace(id=source_id)
        return record(value)._replace(metadata=given._replace(source=source))

    index = index_of(raw("a", b"\x01"), raw("b", b"\x01\x00"), raw("c", b"\x01\x00\x00"), raw("d", b"\x02"))
    page, _ = index.records(RecordQuery(cell_id=1, after=b"\x01", limit=limit))
    assert [each.bucket.value for each in page] == ["b", "c", "d"][:limit]


def test_claims_are_where_their_owner_is() -> None:
    index = index_of(record("a"), record("b"), owner(2, 2, LEASE_2))
    assert index.find(route("a")) == record("a", 2)
    assert (index.owned_by(1), index.owned_by(2)) == ((0, 0), (2, 0))
    assert index.unfinished() == (LEASE_2,)
    assert set(index.claimed_for(OWNER)) == {route("a"), route("b")}


def test_an_owner_takes_all_claims_along_and_what_they_say_follows() -> None:
    index = index_of(record("a"), record("b"))
    index.apply(Changes(101, (owner(1, 1, LEASE_2),)))
    assert (index.owned_by(1), index.owned_by(2), index.unfinished()) == ((2, 0), (0, 0), (LEASE_2,))
    index.apply(Changes(102, (owner(2, 2, LEASE_2),)))
    assert (index.owned_by(1), index.owned_by(2)) == ((0, 0), (2, 0))
    assert values(index.records(RecordQuery(cell_id=2))) == (["a", "b"], False)
    index.apply(Changes(103, (record("a", 2), Gone(route("b")))))
    assert (index.owned_by(1), index.owned_by(2)) == ((0, 0), (1, 0))
    index.apply(Changes(104, (owner(2, 2),)))
    assert (index.unfinished(), dict(index.owners)) == ((), {OWNER: owner(2, 2)})
    index.apply(Changes(105, (OwnerGone(OWNER),)))
    assert (index.owned_by(2), dict(index.owners)) == ((1, 0), {})
    index.apply(Changes(106, (Gone(route("a")),)))
    assert (index.owned_by(2), index.claimed_for(OWNER)) == ((0, 0), ())


def test_a_claim_that_changes_owners_goes_to_the_other() -> None:
    index = index_of(record("a"), owner(2, 2))
    given = record("a")._replace(metadata=record("a").metadata._replace(subject=OWNER._replace(id=43)))
    index.apply(Changes(101, (given,)))
    assert (index.claimed_for(OWNER), index.claimed_for(given.metadata.subject)) == ((), (route("a"),))
    assert (index.owned_by(1), index.owned_by(2)) == ((1, 0), (0, 0))
