"""The last good View on disk, for a control plane that starts while its store is away.

Whoever runs the watcher saves, and loads once at the start; what is loaded is marked stale. A file is
written whole or not at all, and carries its revision and checksum. `etcd Event -> View -> Snapshot ->
Response`: a View kept for bad times.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from topology.codec import KeptRecord, Undecodable, decode, encode
from topology.fields import Fields, MalformedError, parse
from topology.keys import CellKey, DepartureKey, DocumentKey, GenerationKey, Keyspace, RetiredKey
from topology.model import Cell, Departure, Document, Retired
from topology.view import Quarantined, QuarantineKind, View

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no file."""


@dataclass(frozen=True, slots=True)
class Corrupt:
    """There is a file, and it must not be used."""

    reason: str


def save_view(path: Path, view: View) -> None:
    """Write the View in place of the last one, so that a crash at any moment leaves one of the two. Raises
    OSError.
    """
    text = view_text(view)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load_view(path: Path, keyspace: Keyspace) -> View | Missing | Corrupt:
    """Read a View that was saved for this keyspace. It is marked stale."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return Missing()
    except OSError as error:
        return Corrupt(f"can't be read: {error.strerror}")
    return view_of_text(text, keyspace)


def view_text(view: View) -> str:
    """Write a View down, with its revision and checksum."""
    body = _body_of(view)
    return json.dumps({"format": FORMAT, "sha256": _checksum(body), "view": body}, indent=1, sort_keys=True)


def view_of_text(text: bytes, keyspace: Keyspace) -> View | Corrupt:
    """Read what `view_text` wrote. The View is marked stale."""
    try:
        fields = Fields(parse(text))
        if fields.integer("format") != FORMAT:
            return Corrupt(f"is not of format {FORMAT}, which is all that this version reads")
        checksum, body = fields.text("sha256"), fields.mapping("view")
        if checksum != _checksum(body):
            return Corrupt("its checksum does not fit: it was damaged or edited")
        return _view_of(Fields(body), keyspace)
    except MalformedError as error:
        return Corrupt(str(error))


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _body_of(view: View) -> dict[str, Any]:
    keyspace = view.keyspace
    records = {keyspace.cell(cell.id): _text(cell) for cell in view.cells.values()}
    records |= {keyspace.retired(retired.id): _text(retired) for retired in view.retired.values()}
    records |= {keyspace.document(*key): _text(document) for key, document in view.documents.items()}
    records |= {keyspace.departure(owner): _text(departure) for owner, departure in view.departed.items()}
    return {
        "prefix": keyspace.prefix,
        "revision": view.revision,
        "records": records,
        "mod_revisions": dict(view.mod_revisions),
        "quarantined": [
            {
                "key": each.key,
                "kind": each.kind.value,
                "reason": each.reason,
                "create_revision": each.create_revision,
                "mod_revision": each.mod_revision,
                "raw": base64.b64encode(each.raw).decode(),
                "record": "" if each.record is None else _text(each.record),
            }
            for each in view.quarantined.values()
        ],
    }


def _text(record: KeptRecord) -> str:
    return encode(record).decode()


def _view_of(fields: Fields, keyspace: Keyspace) -> View | Corrupt:
    prefix = fields.text("prefix")
    if prefix != keyspace.prefix:
        return Corrupt(
            f"is of the keys below {prefix}, not {keyspace.prefix}: save it elsewhere or remove it"
        )
    cells: dict[int, Cell] = {}
    retired: dict[int, Retired] = {}
    documents: dict[tuple[str, str], Document] = {}
    departed: dict[str, Departure] = {}
    for key, text in fields.mapping("records").items():
        match _record(keyspace, key, text):
            case Cell() as cell:
                cells[cell.id] = cell
            case Retired() as tombstone:
                retired[tombstone.id] = tombstone
            case Document() as document:
                documents[document.kind, document.name] = document
            case Departure() as departure:
                departed[departure.owner] = departure
    named = Fields(fields.mapping("mod_revisions"), "mod_revisions")
    revisions = {key: named.integer(key) for key in fields.mapping("mod_revisions")}
    slots = ((keyspace.parse(key), revision) for key, revision in revisions.items())
    quarantined = [_quarantined(keyspace, each) for each in fields.each("quarantined")]
    return View(
        keyspace=keyspace,
        revision=fields.integer("revision"),
        cells=_sealed(cells),
        retired=_sealed(retired),
        documents=_sealed(documents),
        departed=_sealed(departed),
        generations=_sealed({key.slot: at for key, at in slots if isinstance(key, GenerationKey)}),
        quarantined=_sealed({each.key: each for each in quarantined}),
        mod_revisions=_sealed(revisions),
        stale=True,
    )


def _sealed(records: dict[Any, Any]) -> Mapping[Any, Any]:
    return MappingProxyType({key: records[key] for key in sorted(records)})


def _record(keyspace: Keyspace, key: str, text: Any) -> KeptRecord:
    parsed = keyspace.parse(key)
    if not isinstance(parsed, CellKey | RetiredKey | DocumentKey | DepartureKey) or not isinstance(text, str):
        raise MalformedError(f"{key}: is no record of this version")
    record = decode(parsed, text.encode())
    if isinstance(record, Undecodable):
        raise MalformedError(f"{key}: {record.reason}")
    return record


def _quarantined(keyspace: Keyspace, fields: Fields) -> Quarantined:
    key, text, kind = fields.text("key"), fields.text("record"), fields.text("kind")
    record = _record(keyspace, key, text) if text else None
    if isinstance(record, Document | Departure) or kind not in {each.value for each in QuarantineKind}:
        raise MalformedError(f"{key}: is nothing that this version keeps out")
    try:
        raw = base64.b64decode(fields.text("raw"), validate=True)
    except ValueError as error:
        raise MalformedError(f"{key}: raw is no base64") from error
    return Quarantined(
        key=key,
        kind=QuarantineKind(kind),
        reason=fields.text("reason"),
        create_revision=fields.integer("create_revision"),
        mod_revision=fields.integer("mod_revision"),
        raw=raw,
        record=record,
    )
