"""What a store holds, as it counts, and whether two hold the same."""

from __future__ import annotations

from dataclasses import replace

from tests.topology.claims.samples import LEASE_1, LEASE_2, OWNER, lease, record, route
from topology.claims.model import Phase, Status
from topology.claims.owners import Owner
from topology.claims.store import Changes, Odd
from topology.claims_postgresql.contents import Contents, Part, contents_of
from topology.model import Stamp

MOVED = Owner(
    subject=OWNER, cell_id=2, epoch=2, transfer="", stamp=Stamp(updated_by="A", updated_at="", reason="")
)


def test_claims_are_where_their_owner_is() -> None:
    found = contents_of(Changes(1, (record("a"), MOVED)))
    assert isinstance(found, Contents)
    assert [each.cell_id for each in found.records.values()] == [2]
    assert set(found.owners) == {"NAMESPACE/42"}


def test_what_keeps_a_store_from_being_copied() -> None:
    held = record("held", status=Status.LEASE_CREATING, lease=LEASE_2)
    found = contents_of(
        Changes(
            1,
            (
                Odd("/x", "no JSON", "/x"),
                lease(phase=Phase.COMMITTING),
                held,
                replace(MOVED, transfer=LEASE_1),
            ),
        )
    )
    assert isinstance(found, tuple)
    assert found[0] == "/x can't be read: no JSON"
    assert f"{LEASE_1} is being written or finished: try again soon" in found
    assert found[-1] == f"{route('held')} is held by lease {LEASE_2}, which is not there"


def test_parts_differ_where_anything_does() -> None:
    def parts(*entries: object) -> dict[str, Part]:
        found = contents_of(Changes(1, entries))  # type: ignore[arg-type]
        assert isinstance(found, Contents)
        return found.parts()

    one = parts(record("a"), record("b")._replace(uuid=LEASE_1), lease())
    assert {kind: part.count for kind, part in one.items()} == {"ROUTES": 2, "leases": 1, "owners": 0}
    assert one == parts(lease(), record("b")._replace(uuid=LEASE_1), record("a"))
    other = parts(record("a")._replace(updated_by="x"), record("b")._replace(uuid=LEASE_1), lease())
    assert other["ROUTES"].count == 2
    assert other["ROUTES"] != one["ROUTES"]
    assert other["leases"] == one["leases"]
