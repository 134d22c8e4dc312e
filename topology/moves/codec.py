"""Moves as bytes: JSON for people, with a schema number. What is no good move comes back as `Undecodable`.

`book` reads and writes with it. Third road: what a `Txn` writes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, TypeVar

from topology.codec import Undecodable, read_stamp, stamp_body, to_json
from topology.fields import Fields, MalformedError, parse
from topology.keys import Keyspace
from topology.moves.machine import move_problems
from topology.moves.model import Entry, Happened, Move, Order, Said, Step

SCHEMA: Final = 1
Word = TypeVar("Word", bound=StrEnum)


def moves_root(keyspace: Keyspace) -> str:
    """Spell what all keys of moves begin with: they lie beside the topology's."""
    return f"{keyspace.prefix}-moves/"


def encode_move(move: Move) -> bytes:
    """Write a move."""
    return to_json(
        {
            "schema": SCHEMA,
            "id": move.id,
            "owners": [{"owner": name, "epoch": epoch} for name, epoch in move.owners],
            "from_cell": move.from_cell,
            "to_cell": move.to_cell,
            "window_seconds": move.window_seconds,
            "ask_before": list(move.ask_before),
            "force": move.force,
            "step": move.step,
            "since": move.since,
            "waiting": move.waiting,
            "blocked": move.blocked,
            "hooked": move.hooked,
            "zeros": move.zeros,
            "zero_at": move.zero_at,
            "envoys": move.envoys,
            "records": move.records,
            "said": None if move.said is None else _said_body(move.said),
            "history": [_entry_body(entry) for entry in move.history],
            **stamp_body(move.stamp),
        }
    )


def decode_move(name: str, value: bytes) -> Move | Undecodable:
    """Read the move of a key."""
    try:
        fields = Fields(parse(value))
        if (schema := fields.integer("schema")) != SCHEMA:
            return Undecodable(f"schema: {schema} is not read by this version, which knows {SCHEMA}")
        move = _move(fields)
        fields.end()
    except MalformedError as error:
        return Undecodable(str(error))
    if move.id != name:
        return Undecodable(f"id: move {move.id} lies at the key of {name}")
    problems = tuple(move_problems(move))
    return Undecodable("; ".join(map(str, problems))) if problems else move


def _move(fields: Fields) -> Move:
    return Move(
        id=fields.text("id"),
        owners=tuple(_owner(each) for each in fields.each("owners")),
        from_cell=fields.integer("from_cell"),
        to_cell=fields.integer("to_cell"),
        window_seconds=fields.integer("window_seconds"),
        ask_before=tuple(
            _named(each, Step, "ask_before") for each in fields.take("ask_before", list, "list")
        ),
        force=fields.boolean("force"),
        step=_word(fields, "step", Step),
        since=fields.text("since"),
        waiting=fields.text("waiting"),
        blocked=fields.boolean("blocked"),
        hooked=fields.boolean("hooked"),
        zeros=fields.integer("zeros"),
        zero_at=fields.text("zero_at"),
        envoys=fields.integer("envoys"),
        records=fields.integer("records"),
        said=fields.optional("said", _said),
        history=tuple(_entry(each) for each in fields.each("history")),
        stamp=read_stamp(fields),
    )


def _said_body(said: Said) -> dict[str, Any]:
    return {"order": said.order, "by": said.by, "at": said.at, "reason": said.reason}


def _entry_body(entry: Entry) -> dict[str, Any]:
    return {"at": entry.at, "step": entry.step, "what": entry.what, "by": entry.by, "words": entry.words}


def _said(fields: Fields) -> Said:
    said = Said(
        order=_word(fields, "order", Order),
        by=fields.text("by"),
        at=fields.text("at"),
        reason=fields.text("reason"),
    )
    fields.end()
    return said


def _entry(fields: Fields) -> Entry:
    entry = Entry(
        at=fields.text("at"),
        step=_word(fields, "step", Step),
        what=_word(fields, "what", Happened),
        by=fields.text("by"),
        words=fields.text("words"),
    )
    fields.end()
    return entry


def _owner(fields: Fields) -> tuple[str, int]:
    owner = fields.text("owner"), fields.integer("epoch")
    fields.end()
    return owner


def _word(fields: Fields, name: str, words: type[Word]) -> Word:
    return _named(fields.text(name), words, name)


def _named(text: Any, words: type[Word], name: str) -> Word:
    if text not in tuple(words):
        raise MalformedError(f"{name}: {text!r} is none: use one of {', '.join(words)}")
    return words(text)
