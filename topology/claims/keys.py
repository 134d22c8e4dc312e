"""The one place where keys of claims are spelled: what lives where in the store, and what a key stands for.

Planning asks it for keys, the reader of a watch asks it what a key means. Claims lie beside the topology's
keys, not below them: a View of cells must not grow with claims. Third road: names what a `Txn` writes.

    /cellplane/v1-claims/records/ROUTES/acme      a claim
    /cellplane/v1-claims/leases/<uuid>            a lease
    /cellplane/v1-claims/parts/<uuid>/0003        a part of one that a transaction can't hold
    /cellplane/v1-claims/owners/ORGANIZATION/42   an owner that was moved, or is about to be
    /cellplane/v1-claims/transfers/<uuid>         a transfer
    /cellplane/v1-claims/quiet/4                  no begin of a cell since this was written
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

from topology.claims.model import Bucket, BucketType, Subject
from topology.claims.owners import name_of, subject_of
from topology.keys import Keyspace, UnknownKey

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_PART: Final = re.compile(r"[0-9]{4}\Z")
_CELL: Final = re.compile(r"[1-9][0-9]{0,17}\Z")
# How `quote` writes a value: plain characters as they are, every other byte as %XX.
_QUOTED: Final = re.compile(
    r"(?:[A-Za-z0-9_.~-]|%(?!2D|2E|5F|7E|3[0-9]|4[1-9A-F]|5[0-9A]|6[1-9A-F]|7[0-9A])[0-9A-F]{2})+"
)
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~/-]*")
_PATH: Final = re.compile(r"(?:[A-Za-z0-9_.~-]|%2F)+")
_KINDS: Final = dict(BucketType.__members__)


@dataclass(frozen=True, slots=True)
class LeaseKey:
    """The key of a lease."""

    uuid: str


@dataclass(frozen=True, slots=True)
class PartKey:
    """The key of a part of a lease."""

    uuid: str
    number: int


@dataclass(frozen=True, slots=True)
class OwnerKey:
    """The key of an owner."""

    subject: Subject


@dataclass(frozen=True, slots=True)
class TransferKey:
    """The key of a transfer."""

    id: str


@dataclass(frozen=True, slots=True)
class QuietKey:
    """The key that says that a cell has begun nothing since."""

    cell_id: int


@dataclass(frozen=True, slots=True)
class MarkKey:
    """The key that is put with what edges are told of and no claim changes with."""


ParsedKey = Bucket | LeaseKey | PartKey | OwnerKey | TransferKey | QuietKey | MarkKey | UnknownKey


def is_uuid(text: str) -> bool:
    """Tell whether this is a UUID in its usual spelling, in lower case."""
    return bool(_UUID.match(text))


@dataclass(frozen=True, slots=True)
class ClaimKeyspace:
    """The keys of claims that belong to one topology, which they lie beside."""

    topology: Keyspace

    @classmethod
    def beside(cls, keyspace: Keyspace) -> ClaimKeyspace:
        """Give the keys beside those of a topology: `/cellplane/v1-claims/` beside `/cellplane/v1/`."""
        return cls(keyspace)

    @property
    def root(self) -> str:
        """What all keys of claims begin with."""
        return f"{self.topology.prefix}-claims/"

    def record(self, bucket: Bucket) -> str:
        """Spell the key of a claim. What is not plain in its value is percent-encoded."""
        return f"{self.topology.prefix}-claims/records/{bucket.type._name_}/{_quoted(bucket.value)}"

    def lease(self, uuid: str) -> str:
        """Spell the key of a lease."""
        return f"{self.root}leases/{uuid}"

    def part(self, uuid: str, number: int) -> str:
        """Spell the key of a part, so that parts sort by number."""
        return f"{self.parts(uuid)}{number:04d}"

    def parts(self, uuid: str) -> str:
        """Spell what the keys of all parts of a lease begin with."""
        return f"{self.root}parts/{uuid}/"

    def records(self) -> str:
        """Spell what the keys of all claims begin with."""
        return f"{self.root}records/"

    def owner(self, subject: Subject) -> str:
        """Spell the key of an owner."""
        return f"{self.root}owners/{name_of(subject)}"

    def transfer(self, transfer: str) -> str:
        """Spell the key of a transfer."""
        return f"{self.root}transfers/{transfer}"

    def quiet(self, cell_id: int) -> str:
        """Spell the key that every begin of a cell deletes. Nearly always it is not there."""
        return f"{self.topology.prefix}-claims/quiet/{cell_id}"

    def mark(self) -> str:
        """Spell the key that is put with generations that no claim changes with, so that whoever follows the
        claims gets as far as they are.
        """
        return f"{self.root}mark"

    def parse(self, key: str) -> ParsedKey:
        """Say what a key stands for. Each thing has one spelling, so that no two keys mean the same."""
        if not key.startswith(self.root):
            return UnknownKey(f"not below {self.root}")
        kind, _, rest = key[len(self.root) :].partition("/")
        first, _, second = rest.partition("/")
        if kind == "records":
            return _parse_record(first, second)
        if kind == "leases" and is_uuid(rest):
            return LeaseKey(rest)
        if kind == "parts" and is_uuid(first) and _PART.match(second):
            return PartKey(first, int(second))
        return _parse_rare(key[len(self.root) :]) or UnknownKey("nothing of this version lives at this key")


def _parse_rare(path: str) -> OwnerKey | TransferKey | QuietKey | MarkKey | None:
    kind, _, rest = path.partition("/")
    if kind == "owners" and (subject := subject_of(rest)) is not None:
        return OwnerKey(subject)
    if kind == "quiet" and _CELL.match(rest):
        return QuietKey(int(rest))
    if path == "mark":
        return MarkKey()
    return TransferKey(rest) if kind == "transfers" and is_uuid(rest) else None


# A claim's key is spelled at its begin and at its commit.
@lru_cache(maxsize=8192)
def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):  # most are names and paths
        return value.replace("/", "%2F")
    return quote(value, safe="")


def _parse_record(kind: str, name: str) -> Bucket | UnknownKey:
    bucket_type = _KINDS.get(kind)
    if bucket_type is None:
        return UnknownKey(f"{kind!r} is no bucket that this version knows")
    # Most are names and paths; there may be millions to read.
    plain = name.replace("%2F", "/") if _PATH.fullmatch(name) else _unquoted(name)
    if not plain:
        return UnknownKey(f"{name!r} is not how a value is written in a key")
    return Bucket(bucket_type, plain)


def _unquoted(name: str) -> str:
    try:
        return unquote(name, errors="strict") if _QUOTED.fullmatch(name) else ""
    except UnicodeDecodeError:
        return ""
