"""The one place where keys are spelled: what lives where in the store, and what a key found there stands for.

Planning and the command ask it for keys, the View asks it what a key means. It never looks at a value.
`etcd Event -> View -> Snapshot -> Response`: names the Events.

    /cellplane/v1/cells/4               a cell
    /cellplane/v1/retired/4             the tombstone of a removed cell
    /cellplane/v1/registry              rewritten by whatever adds, removes or enlarges a cell; see `planning`
    /cellplane/v1/rules/current         a document: its kind, its name
    /cellplane/v1/generations/00042     rewritten when claims whose hash falls there are dropped or moved
    /cellplane/v1/departed/ORGANIZATION/42    where an owner went that left a cell
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, unquote

from topology.model import MAX_ID

# A kind of document is added here; a key of no kind that is listed is an unknown key, and shown as one.
DOCUMENT_KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "certificates": "the certificates of {name}",
        "rules": "the ruleset",
        "rules-shadow": "the candidate ruleset",
        "departed-claims": "the names that left cell {name}",
        "departing": "the departure of {name}",
        "overrides": "the override of {name}",
        "pushes-delivery": "how changes of {name} go out",
        "sidecars-forgotten": "the end of the sidecar {name}",
        "pushes-frozen": "the freeze of pushes",
        "pushes-good": "the last good state of {name}",
        "pushes-held": "the hold of push {name}",
        "pushes-order": "the order for the wave of {name}",
        "pushes-rejected": "the hold of what was rejected, {name}",
        "pushes-released": "the release of push {name}",
        "pushes-rollback": "the roll-back of push {name}",
        "pushes-wave": "the wave of {name}",
        "zones-drained": "the evacuation of zone {name}",
    }
)
"""What a document of each kind is, in the words of whoever has it written."""
_ID: Final = re.compile(r"[1-9][0-9]{0,9}\Z")
_SLOT: Final = re.compile(r"[0-9]{5}\Z")
_OWNER: Final = re.compile(r"[A-Z][A-Z_]*/[1-9][0-9]{0,18}\Z")
SLOTS: Final = 16_384
_PREFIX: Final = re.compile(r"(/[A-Za-z0-9._-]+)+\Z")


@dataclass(frozen=True, slots=True)
class CellKey:
    """The key of a cell."""

    id: int


@dataclass(frozen=True, slots=True)
class RetiredKey:
    """The key of a tombstone."""

    id: int


@dataclass(frozen=True, slots=True)
class RegistryKey:
    """The key that everything which must be unique among cells is guarded by."""


@dataclass(frozen=True, slots=True)
class DocumentKey:
    """The key of a document."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class GenerationKey:
    """The key of a generation: how often it was written says how old a remembered lookup may be."""

    slot: int


@dataclass(frozen=True, slots=True)
class DepartureKey:
    """The key of a departure."""

    owner: str


@dataclass(frozen=True, slots=True)
class UnknownKey:
    """A key that this version has no meaning for, and why."""

    reason: str


ParsedKey = CellKey | RetiredKey | RegistryKey | DocumentKey | GenerationKey | DepartureKey | UnknownKey


@dataclass(frozen=True, slots=True)
class Keyspace:
    """The keys below one prefix; several installations may share a store under different prefixes."""

    prefix: str = "/cellplane/v1"

    def __post_init__(self) -> None:
        if not _PREFIX.match(self.prefix):
            raise ValueError(f"{self.prefix!r} is no key prefix: write it like /cellplane/v1")

    @property
    def root(self) -> str:
        """What to list and watch: the prefix with its slash, so that /cellplane/v10 stays out."""
        return f"{self.prefix}/"

    @property
    def registry(self) -> str:
        """The key that guards uniqueness among cells."""
        return f"{self.prefix}/registry"

    def cells(self) -> str:
        """Spell what all keys of cells begin with."""
        return f"{self.prefix}/cells/"

    def cell(self, cell_id: int) -> str:
        """Spell the key of a cell."""
        return f"{self.prefix}/cells/{cell_id}"

    def retired(self, cell_id: int) -> str:
        """Spell the key of a tombstone."""
        return f"{self.prefix}/retired/{cell_id}"

    def document(self, kind: str, name: str) -> str:
        """Spell the key of a document. The name may hold anything; what is not plain is percent-encoded."""
        if kind not in DOCUMENT_KINDS or not name:
            raise ValueError(
                f"no document {kind!r} {name!r}: name it, with one of the kinds {tuple(DOCUMENT_KINDS)}"
            )
        return f"{self.prefix}/{kind}/{quote(name, safe='')}"

    def generation(self, slot: int) -> str:
        """Spell the key of a generation."""
        return f"{self.prefix}/generations/{slot:05d}"

    def departure(self, owner: str) -> str:
        """Spell the key of a departure. An owner is spelled like ORGANIZATION/42."""
        if not _OWNER.match(owner):
            raise ValueError(f"{owner!r} is no owner: write one like ORGANIZATION/42")
        return f"{self.prefix}/departed/{owner}"

    def parse(self, key: str) -> ParsedKey:
        """Say what a key stands for. Each thing has one spelling, so that no two keys mean the same."""
        if not key.startswith(self.root):
            return UnknownKey(f"not below {self.root}")
        rest = key[len(self.root) :]
        kind, _, name = rest.rpartition("/")
        if rest == "registry":
            return RegistryKey()
        if kind in ("cells", "retired"):
            return _parse_id(kind, name)
        if kind in DOCUMENT_KINDS and name:
            return _parse_document(kind, name)
        return _parse_trace(rest) or UnknownKey("nothing of this version lives at this key")


def _parse_id(kind: str, name: str) -> CellKey | RetiredKey | UnknownKey:
    if not _ID.match(name) or int(name) > MAX_ID:
        return UnknownKey(f"{name!r} is no cell id: write 1 to {MAX_ID}, without zeros in front")
    return CellKey(int(name)) if kind == "cells" else RetiredKey(int(name))


def _parse_trace(rest: str) -> GenerationKey | DepartureKey | None:
    """Read the key of what changes of claims leave behind in the topology."""
    kind, _, name = rest.partition("/")
    if kind == "generations" and _SLOT.match(name) and int(name) < SLOTS:
        return GenerationKey(int(name))
    if kind == "departed" and _OWNER.match(name):
        return DepartureKey(name)
    return None


def _parse_document(kind: str, name: str) -> DocumentKey | UnknownKey:
    plain = unquote(name, errors="replace")
    if quote(plain, safe="") != name:
        return UnknownKey(f"{name!r} is not how a document's name is written in a key")
    return DocumentKey(kind, plain)
