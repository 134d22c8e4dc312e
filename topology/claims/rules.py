"""The rules that claims obey: what a batch must look like, and what stands in its way.

The store asks `batch_problems` before it looks and `obstacles` with what it found; the service turns the
answers into status codes. It reads and writes nothing. Third road: decides whether a `Txn` is planned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from topology.claims.model import (
    MAX_BATCH,
    MAX_INT64,
    MAX_SOURCE_ID,
    MAX_USER_DATA,
    MAX_VALUE,
    NUMBERS,
    Bucket,
    ClaimBatch,
    Metadata,
    Phase,
    Record,
    Spelling,
    Status,
    Subject,
)
from topology.claims.owners import FIRST_EPOCH, Owner, OwnerElsewhere, OwnerMoving
from topology.model import MAX_ID, Problem


@dataclass(frozen=True, slots=True)
class Taken:
    """Somebody owns it. Permanent: trying again does not help."""

    bucket: Bucket
    cell_id: int

    def __str__(self) -> str:
        return f"{self.bucket} is already claimed by cell {self.cell_id}"


@dataclass(frozen=True, slots=True)
class Leased:
    """Another batch holds it. Temporary: whether it stays or goes is not decided yet."""

    bucket: Bucket
    lease: str

    def __str__(self) -> str:
        return f"{self.bucket} is held by a lease that is not closed yet: try again later"


@dataclass(frozen=True, slots=True)
class NotThere:
    """It is to be destroyed, and nobody owns it. Permanent."""

    bucket: Bucket

    def __str__(self) -> str:
        return f"{self.bucket} can't be destroyed: nobody claims it"


@dataclass(frozen=True, slots=True)
class NotYours:
    """It is to be destroyed, and another cell owns it. Permanent."""

    bucket: Bucket
    cell_id: int

    def __str__(self) -> str:
        return f"{self.bucket} can't be destroyed: cell {self.cell_id} claims it, and only the owner destroys"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What lies at its key can't be read. Permanent until somebody mends it."""

    bucket: Bucket
    reason: str

    def __str__(self) -> str:
        return f"{self.bucket}: what is on record can't be read ({self.reason})"


DECIDED: Final = (Phase.COMMITTING, Phase.ROLLING_BACK)
# What a leased record amounts to while its lease is in a phase that no client knows; None: it is not there.
_AMOUNTS_TO: Final[Mapping[tuple[Status, Phase], Status | None]] = {
    (Status.LEASE_CREATING, Phase.PREPARING): None,
    (Status.LEASE_CREATING, Phase.ROLLING_BACK): None,
    (Status.LEASE_CREATING, Phase.COMMITTING): Status.ACTIVE,
    (Status.LEASE_DESTROYING, Phase.PREPARING): Status.ACTIVE,
    (Status.LEASE_DESTROYING, Phase.ROLLING_BACK): Status.ACTIVE,
    (Status.LEASE_DESTROYING, Phase.COMMITTING): None,
}

Obstacle = Taken | Leased | NotThere | NotYours | Unreadable | OwnerElsewhere | OwnerMoving
NOBODY: Final[Mapping[Subject, Owner]] = {}


def batch_problems(batch: ClaimBatch) -> tuple[Problem, ...]:
    """Say what is wrong with a batch by itself, whatever the store holds."""
    size = len(batch.creates) + len(batch.destroys)
    problems: list[Problem] = []
    if not 1 <= batch.cell_id <= MAX_ID:
        problems.append(Problem(field="cell_id", message=f"{batch.cell_id} is no cell id: use 1 to {MAX_ID}"))
    if not 1 <= size <= MAX_BATCH:
        message = f"{size} records are in the batch: send 1 to {MAX_BATCH}"
        problems.append(Problem(field="create_records", message=message))
    for name, records in (("create_records", batch.creates), ("destroy_records", batch.destroys)):
        for at, metadata in enumerate(records):
            problems += metadata_problems(metadata, f"{name}[{at}]")
        if len({each.bucket for each in records}) == len(records):
            continue
        for bucket, count in Counter(each.bucket for each in records).items():
            if count > 1:
                message = f"{bucket} is in the list {count} times: name it once"
                problems.append(Problem(field=name, message=message))
    destroyed = {each.bucket for each in batch.destroys}
    for bucket in (each.bucket for each in batch.creates if destroyed and each.bucket in destroyed):
        message = f"{bucket} is to be created and destroyed in one batch: send two, one after the other"
        problems.append(Problem(field="destroy_records", message=message))
    return tuple(problems)


def metadata_problems(metadata: Metadata, path: str) -> Iterator[Problem]:
    """Say what is wrong with one claim as a client states it."""
    if problem := value_problem(metadata.bucket, metadata.spelling):
        yield Problem(field=f"{path}.bucket.value", message=problem)
    if len(metadata.source.id) > MAX_SOURCE_ID:
        message = f"is {len(metadata.source.id)} bytes long: keep it within {MAX_SOURCE_ID}"
        yield Problem(field=f"{path}.source.rails_primary_key_id", message=message)
    data = metadata.user_data
    if data is not None and (size := len(data.type_url.encode()) + len(data.value)) > MAX_USER_DATA:
        yield Problem(
            field=f"{path}.user_data", message=f"is {size} bytes long: keep it within {MAX_USER_DATA}"
        )


def value_problem(bucket: Bucket, spelling: Spelling = Spelling.BUCKET) -> str | None:
    """Say what is wrong with a bucket's value."""
    if not 1 <= len(bucket.value) <= MAX_VALUE:
        return f"of {bucket.type.name} is {len(bucket.value)} characters long: use 1 to {MAX_VALUE}"
    if "\0" in bucket.value:
        return f"of {bucket.type.name} holds a NUL character: leave it out"
    if spelling is not Spelling.BUCKET and bucket.type in NUMBERS and number_of(bucket) is None:
        return f"of {bucket.type.name} is {bucket.value!r}: the claim beside it is a number"
    return None


def number_of(bucket: Bucket) -> int | None:
    """Read the value of a bucket of numbers; None where it is none that 64 bits hold, spelled as usual."""
    value = bucket.value
    if not (value.isascii() and value.removeprefix("-").isdigit() and len(value) <= 20):
        return None
    number = int(value)
    return number if str(number) == value and -MAX_INT64 - 1 <= number <= MAX_INT64 else None


def obstacles(
    batch: ClaimBatch,
    found: Mapping[Bucket, Record | Unreadable],
    owners: Mapping[Subject, Owner] = NOBODY,
) -> tuple[Obstacle, ...]:
    """Say what stands in the way of a batch, in its order; `found` and `owners` are what is on record.

    A leased record is untouchable whatever its lease will come to, also for the cell that owns it. An owner
    that went elsewhere, or is going, gets nothing and loses nothing.
    """
    standing: list[Obstacle] = []
    for metadata in batch.creates:
        there = found.get(metadata.bucket)
        if isinstance(there, Unreadable):
            standing.append(there)
        elif there is not None:
            seen = placed(there, owners)
            held = Leased(there.bucket, there.lease) if there.lease else Taken(there.bucket, seen.cell_id)
            standing.append(held)
        elif away := _away(batch.cell_id, owners.get(metadata.subject)):
            standing.append(away)
    for metadata in batch.destroys:
        there = found.get(metadata.bucket)
        if isinstance(there, Unreadable):
            standing.append(there)
        elif there is None:
            standing.append(NotThere(metadata.bucket))
        elif (cell_id := placed(there, owners).cell_id) != batch.cell_id:
            standing.append(NotYours(there.bucket, cell_id))
        elif there.lease:
            standing.append(Leased(there.bucket, there.lease))
        elif away := _away(batch.cell_id, owners.get(there.metadata.subject)):
            standing.append(away)
    return tuple(dict.fromkeys(standing))


def placed(record: Record, owners: Mapping[Subject, Owner]) -> Record:
    """Give a record where its owner is, which decides.

    At its first epoch an owner's record only holds it, for a wish that may be mistaken about the cell.
    """
    owner = owners.get(record.metadata.subject) if owners else None
    if owner is None or owner.epoch == FIRST_EPOCH or owner.cell_id == record.cell_id:
        return record
    return record._replace(cell_id=owner.cell_id)


def _away(cell_id: int, owner: Owner | None) -> OwnerElsewhere | OwnerMoving | None:
    if owner is None:
        return None
    if owner.epoch > FIRST_EPOCH and owner.cell_id != cell_id:
        return OwnerElsewhere(owner.subject, owner.cell_id, owner.epoch)
    return OwnerMoving(owner.subject, owner.transfer) if owner.transfer else None


def amounts_to(record: Record, phase: Phase, owners: Mapping[Subject, Owner] = NOBODY) -> Record | None:
    """Say what a record counts as, given the phase of the lease that holds it and its owner, if on record;
    None: it does not count.

    In an open lease, and in none, it is what it says it is: LEASE_CREATING is owned and routes already.
    """
    record = placed(record, owners)
    if not record.lease or phase is Phase.OPEN:
        return record
    status = _AMOUNTS_TO[record.status, phase]
    return None if status is None else record._replace(status=status, lease="")
