"""Rejected versions as documents in the topology: what keeps them over restarts, and tells them to replicas.

The hold keeper writes and reads them, `cellplane pushes` lists and deletes them. One document per group, type
and resource name, with Envoy's words and the last version that was good. Pure: records in, documents out.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from topology.model import Document
from topology.view import View
from xds.hold_record import HoldRecord, RejectedVersion, Rejection
from xds.resource import TYPES, Reference, Resource

REJECTED: Final = "pushes-rejected"
MAX_BODY_BYTES: Final = 64 * 1024
"""A last good version that is larger than this is not kept."""

_TYPES: Final = {kind.name: kind for kind in TYPES}


@dataclass(frozen=True, slots=True)
class HeldVersions:
    """What is known against one resource in one group. `id` is alike at every replica."""

    id: str
    group: str
    record: HoldRecord


def document_name(group: str, key: Reference) -> str:
    """Return the name of the document about a resource."""
    kind, name = key
    return f"{group}/{kind.name}/{name}"


def hold_id(group: str, key: Reference) -> str:
    """Return what an operator types: 8 hex digits."""
    return hashlib.sha256(document_name(group, key).encode()).hexdigest()[:8]


def body_of(group: str, record: HoldRecord) -> dict[str, Any]:
    """Return the document's body."""
    kind, name = record.key
    body: dict[str, Any] = {
        "id": hold_id(group, record.key),
        "group": group,
        "type": kind.name,
        "name": name,
        "versions": {
            version: {
                "held": known.held,
                "alone": known.alone,
                "rejections": [
                    {"node": one.node, "envoy": one.envoy, "message": one.message} for one in known.rejections
                ],
            }
            for version, known in record.versions.items()
        },
    }
    good = record.good
    if good is not None and len(good.body) <= MAX_BODY_BYTES:
        body["good"] = {
            "version": good.version,
            "body": b64encode(good.body).decode(),
            "references": sorted([of.name, each] for of, each in good.references),
        }
    return body


def held_versions(view: View) -> tuple[HeldVersions, ...]:
    """Return all that is kept, by group, type and name; a document that is not ours to read is left out."""
    documents = sorted(view.documents.items())
    return tuple(
        found
        for (kind, _), document in documents
        if kind == REJECTED and (found := read(document)) is not None
    )


def read(document: Document) -> HeldVersions | None:
    """Read one document; None if it says nothing that we understand."""
    try:
        return _read(document.body)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _read(body: Mapping[str, Any]) -> HeldVersions:
    kind, group = _TYPES[body["type"]], str(body["group"])
    key = (kind, str(body["name"]))
    versions = {
        str(version): RejectedVersion(
            rejections=tuple(
                Rejection(str(one["node"]), str(one["envoy"]), str(one["message"]))
                for one in known["rejections"]
            ),
            held=bool(known["held"]),
            alone=bool(known["alone"]),
        )
        for version, known in body["versions"].items()
    }
    good = None
    if (kept := body.get("good")) is not None:
        references = [(_TYPES[of], str(each)) for of, each in kept["references"]]
        good = Resource.of(kind, key[1], b64decode(kept["body"], validate=True), references)
        if good.version != kept["version"]:
            good = None
    return HeldVersions(hold_id(group, key), group, HoldRecord(key=key, versions=versions, good=good))
