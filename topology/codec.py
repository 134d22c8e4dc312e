"""Records as bytes: JSON that a person can read in `etcdctl get`, with a schema number, every field present.

The View decodes with it, planning encodes. A value that is no good record comes back as `Undecodable` with
the field and the fix; nothing is guessed, and a misspelt field never becomes a default. A new field means a
new schema number: readers are upgraded before writers. `etcd Event -> View -> Snapshot -> Response`: from the
Event's bytes to a record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from topology.checks import cell_problems, sequence_problems, stamp_problems
from topology.fields import Fields, MalformedError, parse
from topology.keys import CellKey, DepartureKey, DocumentKey, RetiredKey
from topology.model import (
    MAX_ID,
    Cell,
    Departure,
    Document,
    Drain,
    Endpoint,
    Problem,
    Retired,
    SequenceRange,
    Stamp,
)

SCHEMA: Final = 1
Holder = TypeVar("Holder", Cell, Retired)
RecordKey = CellKey | RetiredKey | DocumentKey | DepartureKey
KeptRecord = Cell | Retired | Document | Departure


@dataclass(frozen=True, slots=True)
class Undecodable:
    """Why a value is no record of its key."""

    reason: str


def decode(key: RecordKey, value: bytes) -> KeptRecord | Undecodable:
    """Read the record of a key. What comes back obeys every rule that a record must obey by itself."""
    try:
        fields = Fields(parse(value))
        schema = fields.integer("schema")
        if schema != SCHEMA:
            return Undecodable(
                f"schema: {schema} is not read by this version, which knows {SCHEMA}: upgrade it"
            )
        match key:
            case CellKey():
                return _decode_cell(key, fields)
            case RetiredKey():
                return _decode_retired(key, fields)
            case DocumentKey():
                return _decode_document(key, fields)
            case DepartureKey():
                return _decode_departure(key, fields)
    except MalformedError as error:
        return Undecodable(str(error))


def encode(record: KeptRecord) -> bytes:
    """Write a record: keys sorted, one field a line, the same bytes for the same record."""
    body: dict[str, Any]
    if isinstance(record, Cell):
        body = _cell_body(record)
    elif isinstance(record, Retired):
        body = {"id": record.id, "name": record.name, **_holding_body(record)}
    elif isinstance(record, Departure):
        body = {"owner": record.owner, "epoch": record.epoch}
        body |= {"from_cell": record.from_cell, "to_cell": record.to_cell}
    else:
        body = {"kind": record.kind, "name": record.name, "body": dict(record.body)}
    return to_json({"schema": SCHEMA, **body, **stamp_body(record.stamp)})


def stamp_body(stamp: Stamp) -> dict[str, Any]:
    """Give a stamp as the fields that every record ends with."""
    return {"updated_by": stamp.updated_by, "updated_at": stamp.updated_at, "reason": stamp.reason}


def to_json(body: Mapping[str, Any]) -> bytes:
    """Write JSON for people: sorted, indented, and in their own letters where these are valid."""
    try:
        return json.dumps(body, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON may carry and UTF-8 may not
        return json.dumps(body, indent=2, sort_keys=True, allow_nan=False).encode()


def _decode_cell(key: CellKey, fields: Fields) -> Cell | Undecodable:
    cell = Cell(
        id=fields.integer("id"),
        name=fields.text("name"),
        state=fields.state("state"),
        addresses={name: _text_in(name, text) for name, text in fields.mapping("addresses").items()},
        endpoints=tuple(_endpoint(each) for each in fields.each("endpoints")),
        http2=fields.boolean("http2"),
        session_prefix=fields.text("session_prefix"),
        sequence_ranges=tuple(_sequence(each) for each in fields.each("sequence_ranges")),
        capacity=fields.integer("capacity"),
        weight=fields.integer("weight"),
        ring=fields.integer("ring"),
        region=fields.text("region"),
        epoch=fields.integer("epoch"),
        drain=fields.optional("drain", _drain),
        previous_state=None if fields.is_null("previous_state") else fields.state("previous_state"),
        stamp=read_stamp(fields),
    )
    fields.end()
    return _checked(cell, key.id, cell_problems(cell))


def _decode_retired(key: RetiredKey, fields: Fields) -> Retired | Undecodable:
    retired = Retired(
        id=fields.integer("id"),
        name=fields.text("name"),
        session_prefix=fields.text("session_prefix"),
        sequence_ranges=tuple(_sequence(each) for each in fields.each("sequence_ranges")),
        stamp=read_stamp(fields),
    )
    fields.end()
    return _checked(
        retired, key.id, (*sequence_problems(retired.sequence_ranges), *stamp_problems(retired.stamp))
    )


def _decode_document(key: DocumentKey, fields: Fields) -> Document | Undecodable:
    document = Document(
        kind=fields.text("kind"),
        name=fields.text("name"),
        body=fields.mapping("body"),
        stamp=read_stamp(fields),
    )
    fields.end()
    if (document.kind, document.name) != (key.kind, key.name):
        return Undecodable(
            f"kind, name: {document.kind} {document.name} lies at the key of {key.kind} {key.name}"
        )
    if problems := stamp_problems(document.stamp):
        return Undecodable(_words(problems))
    return document


def _decode_departure(key: DepartureKey, fields: Fields) -> Departure | Undecodable:
    departure = Departure(
        owner=fields.text("owner"),
        from_cell=fields.integer("from_cell"),
        to_cell=fields.integer("to_cell"),
        epoch=fields.integer("epoch"),
        stamp=read_stamp(fields),
    )
    fields.end()
    if departure.owner != key.owner:
        return Undecodable(f"owner: {departure.owner} lies at the key of {key.owner}")
    for name, number in (("from_cell", departure.from_cell), ("to_cell", departure.to_cell)):
        if not 1 <= number <= MAX_ID:
            return Undecodable(f"{name}: {number} is no cell id: use 1 to {MAX_ID}")
    if departure.epoch < 1:
        return Undecodable(f"epoch: {departure.epoch} is none: epochs begin at 1")
    if problems := stamp_problems(departure.stamp):
        return Undecodable(_words(problems))
    return departure


def _checked(record: Holder, id_of_key: int, problems: tuple[Problem, ...]) -> Holder | Undecodable:
    if record.id != id_of_key:
        return Undecodable(f"id: {record.id} lies at the key of cell {id_of_key}: write it at its own key")
    return Undecodable(_words(problems)) if problems else record


def _words(problems: tuple[Problem, ...]) -> str:
    return "; ".join(str(problem) for problem in problems)


def _text_in(name: str, text: Any) -> str:
    if not isinstance(text, str):
        raise MalformedError(f"addresses.{name}: is no string")
    return text


def _endpoint(fields: Fields) -> Endpoint:
    endpoint = Endpoint(
        host=fields.text("host"),
        port=fields.integer("port"),
        zone=fields.text("zone"),
        weight=fields.integer("weight"),
    )
    fields.end()
    return endpoint


def _sequence(fields: Fields) -> SequenceRange:
    sequence = SequenceRange(minval=fields.integer("minval"), maxval=fields.integer("maxval"))
    fields.end()
    return sequence


def _drain(fields: Fields) -> Drain:
    drain = Drain(started_at=fields.text("started_at"), seconds=fields.integer("seconds"))
    fields.end()
    return drain


def read_stamp(fields: Fields) -> Stamp:
    """Take a stamp from the fields that every record ends with."""
    return Stamp(
        updated_by=fields.text("updated_by"),
        updated_at=fields.text("updated_at"),
        reason=fields.text("reason"),
    )


def _cell_body(cell: Cell) -> dict[str, Any]:
    return {
        "id": cell.id,
        "name": cell.name,
        "state": cell.state.value,
        "addresses": dict(cell.addresses),
        "endpoints": [
            {"host": each.host, "port": each.port, "zone": each.zone, "weight": each.weight}
            for each in cell.endpoints
        ],
        "http2": cell.http2,
        **_holding_body(cell),
        "capacity": cell.capacity,
        "weight": cell.weight,
        "ring": cell.ring,
        "region": cell.region,
        "epoch": cell.epoch,
        "drain": cell.drain and {"started_at": cell.drain.started_at, "seconds": cell.drain.seconds},
        "previous_state": cell.previous_state and cell.previous_state.value,
    }


def _holding_body(record: Cell | Retired) -> dict[str, Any]:
    return {
        "session_prefix": record.session_prefix,
        "sequence_ranges": [
            {"minval": each.minval, "maxval": each.maxval} for each in record.sequence_ranges
        ],
    }
