"""Planning for documents: JSON objects that topology keeps for others, such as rules and held pushes.

Reached through `planning`, whose rules for writers hold here too. Third road: a service call plans a `Txn`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from topology.checks import stamp_problems
from topology.codec import encode
from topology.keys import DOCUMENT_KINDS
from topology.model import Document, Problem, Stamp
from topology.plan import Outcome, Plan, Refusal, as_seen, overtaken
from topology.store import MAX_TXN_BYTES, Txn
from topology.view import View


def plan_document(
    view: View,
    kind: str,
    name: str,
    body: Mapping[str, Any] | None,
    stamp: Stamp,
    expected_revision: int | None = None,
) -> Outcome:
    """Plan a document written whole; without a body, its end."""
    if problems := tuple(_document_problems(kind, name, stamp)):
        return Refusal(problems=problems)
    key = view.keyspace.document(kind, name)
    if faster := overtaken(view, key, expected_revision, view.documents.get((kind, name))):
        return faster
    compare = as_seen(view, key)
    if body is None:
        if compare.mod_revision == 0:
            return Refusal(
                problems=(Problem(field="name", message=f"{name!r} is not there: nothing is to be deleted"),)
            )
        txn = Txn(compares=(compare,), deletes=(key,))
        return Plan(txn=txn, summary=(f"{_words(kind, name)}: ended",), keys=(key,))
    value = _document_bytes(Document(kind=kind, name=name, body=body, stamp=stamp), MAX_TXN_BYTES - len(key))
    if isinstance(value, Problem):
        return Refusal(problems=(value,))
    done = "replaced" if compare.mod_revision else "written"
    told = f"{_words(kind, name)}: {done}, {len(value)} bytes"
    return Plan(txn=Txn(compares=(compare,), puts=((key, value),)), summary=(told,), keys=(key,))


def _words(kind: str, name: str) -> str:
    return DOCUMENT_KINDS[kind].format(name=name)


def _document_problems(kind: str, name: str, stamp: Stamp) -> Iterator[Problem]:
    yield from stamp_problems(stamp)
    if kind not in DOCUMENT_KINDS:
        yield Problem(field="kind", message=f"{kind!r} is none: use one of {', '.join(DOCUMENT_KINDS)}")
    if not name:
        yield Problem(field="name", message="is empty: name the document")


def _document_bytes(document: Document, most: int) -> bytes | Problem:
    try:
        value = encode(document)
    except (TypeError, ValueError, RecursionError) as error:
        return Problem(field="body", message=f"is no JSON object: {error}")
    if len(value) > most:
        return Problem(field="body", message=f"is {len(value)} bytes as JSON: keep it within {most}")
    return value
