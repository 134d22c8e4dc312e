"""Owners and transfers as bytes: JSON for people, with a schema number.

The planning of transfers encodes, the adapter decodes; what is no good record comes back as `Undecodable`.
Third road: what a `Txn` writes.
"""

from __future__ import annotations

from typing import Any, Final

from topology import forms
from topology.claims.codec import read_claim_fields, read_moment, read_subject, read_uuid, read_word
from topology.claims.keys import OwnerKey, TransferKey
from topology.claims.model import Subject
from topology.claims.owners import Owner, Transfer, TransferPhase
from topology.codec import Undecodable, read_stamp, stamp_body, to_json
from topology.fields import Fields, MalformedError
from topology.keys import SLOTS

SCHEMA: Final = 1


def encode_owner(owner: Owner) -> bytes:
    """Write an owner."""
    return to_json(
        {
            "schema": SCHEMA,
            "subject": _subject_body(owner.subject),
            "cell_id": owner.cell_id,
            "epoch": owner.epoch,
            "transfer": owner.transfer,
            **stamp_body(owner.stamp),
        }
    )


def encode_transfer(transfer: Transfer) -> bytes:
    """Write a transfer."""
    return to_json(
        {
            "schema": SCHEMA,
            "id": transfer.id,
            "phase": transfer.phase.value,
            "from_cell": transfer.from_cell,
            "to_cell": transfer.to_cell,
            "owners": [
                {"subject": _subject_body(subject), "epoch": epoch} for subject, epoch in transfer.owners
            ],
            "records": transfer.records,
            "slots": list(transfer.slots),
            "created_at": forms.format_utc(transfer.created_at),
            **stamp_body(transfer.stamp),
        }
    )


def decode_owner(key: OwnerKey, value: bytes) -> Owner | Undecodable:
    """Read the owner of a key."""
    try:
        fields = read_claim_fields(value)
        owner = Owner(
            subject=read_subject(Fields(fields.mapping("subject"), "subject")),
            cell_id=fields.integer("cell_id"),
            epoch=fields.integer("epoch"),
            transfer=_optional_uuid(fields, "transfer"),
            stamp=read_stamp(fields),
        )
        fields.end()
    except MalformedError as error:
        return Undecodable(str(error))
    if owner.subject != key.subject:
        return Undecodable(f"subject: {owner.name} lies at the key of another owner")
    if owner.epoch < 1:
        return Undecodable(f"epoch: {owner.epoch} is none: epochs begin at 1")
    return owner


def decode_transfer(key: TransferKey, value: bytes) -> Transfer | Undecodable:
    """Read the transfer of a key."""
    try:
        fields = read_claim_fields(value)
        transfer = Transfer(
            id=read_uuid(fields, "id"),
            phase=read_word(fields, "phase", TransferPhase),
            from_cell=fields.integer("from_cell"),
            to_cell=fields.integer("to_cell"),
            owners=tuple(_held(each) for each in fields.each("owners")),
            records=fields.integer("records"),
            slots=tuple(_slot(each) for each in fields.take("slots", list, "list")),
            created_at=read_moment(fields, "created_at"),
            stamp=read_stamp(fields),
        )
        fields.end()
    except MalformedError as error:
        return Undecodable(str(error))
    if transfer.id != key.id:
        return Undecodable(f"id: transfer {transfer.id} lies at the key of {key.id}")
    return transfer


def _subject_body(subject: Subject) -> dict[str, Any]:
    return {"type": subject.type.name, "id": subject.id}


def _held(fields: Fields) -> tuple[Subject, int]:
    held = read_subject(Fields(fields.mapping("subject"), "subject")), fields.integer("epoch")
    fields.end()
    return held


def _slot(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < SLOTS:
        raise MalformedError(f"slots: {value!r} is none: they are 0 to {SLOTS - 1}")
    return value


def _optional_uuid(fields: Fields, name: str) -> str:
    return "" if fields.text(name) == "" else read_uuid(fields, name)
