"""What a claim is: a value that is unique in its bucket, owned by a cell, for a subject, because of a row.

The service makes these from requests, `rules` judges them, `codec` writes them down. Numbers are those of
GitLab's wire. They know no store and no clock. `Request -> ClassificationKey -> Decision`: its answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

MAX_BATCH: Final = 1000  # records of a batch, creates and destroys together
MAX_VALUE: Final = 1024  # characters of a bucket's value
MAX_SOURCE_ID: Final = 128  # bytes
MAX_USER_DATA: Final = 16 * 1024  # bytes of type URL and value together
MAX_INT64: Final = 2**63 - 1


class BucketType(IntEnum):
    """Where a value is unique. 14 was given up by GitLab and stays unused."""

    ROUTES = 1
    ORGANIZATION_PATH = 2
    REDIRECT_ROUTES = 3
    USERNAMES = 4
    EMAILS = 5
    PROJECT_IDS = 6
    NAMESPACE_IDS = 7
    GPG_KEYS = 8
    SSH_KEYS = 9
    USER_IDS = 10
    ORGANIZATION_IDS = 11
    SERVICE_DESK_CUSTOM_EMAILS = 12
    GPG_KEY_FINGERPRINTS = 13
    SSH_KEY_FINGERPRINTS = 15
    SNIPPET_IDS = 16
    PAGES_DOMAINS = 17
    PAGES_UNIQUE_DOMAINS = 18


NUMBERS: Final = frozenset(
    {
        BucketType.PROJECT_IDS,
        BucketType.NAMESPACE_IDS,
        BucketType.USER_IDS,
        BucketType.ORGANIZATION_IDS,
        BucketType.SNIPPET_IDS,
    }
)
"""Buckets whose claims are written as numbers on the wire."""


class SubjectType(IntEnum):
    """What kind of thing a claim is made for."""

    UNSPECIFIED = 0
    ORGANIZATION = 1
    NAMESPACE = 2
    PROJECT = 3
    USER = 4


class SourceType(IntEnum):
    """The table of the row that a claim stands for."""

    UNSPECIFIED = 0
    RAILS_TABLE_USERS = 1
    RAILS_TABLE_EMAILS = 2
    RAILS_TABLE_ROUTES = 3
    RAILS_TABLE_PROJECTS = 4
    RAILS_TABLE_NAMESPACES = 5
    RAILS_TABLE_ORGANIZATIONS = 6
    RAILS_TABLE_REDIRECT_ROUTES = 7
    RAILS_TABLE_GPG_KEYS = 8
    RAILS_TABLE_KEYS = 9
    RAILS_TABLE_SERVICE_DESK_SETTINGS = 10
    RAILS_TABLE_MEMBERS = 11
    RAILS_TABLE_SNIPPETS = 12
    RAILS_TABLE_PAGES_DOMAINS = 13
    RAILS_TABLE_PROJECT_SETTINGS = 14


class Status(StrEnum):
    """Where a record is in its lease. All three are owned and routable."""

    ACTIVE = "ACTIVE"
    LEASE_CREATING = "LEASE_CREATING"
    LEASE_DESTROYING = "LEASE_DESTROYING"


class Phase(StrEnum):
    """How far a lease has come; only OPEN is known to a client.

    PREPARING: its records are still being written; none counts yet. COMMITTING, ROLLING_BACK: it is decided,
    and counts as done; its records are still being rewritten, which anybody may finish.
    """

    PREPARING = "PREPARING"
    OPEN = "OPEN"
    COMMITTING = "COMMITTING"
    ROLLING_BACK = "ROLLING_BACK"


class Spelling(StrEnum):
    """Which of the wire's two ways a client named the claim by; answers name it the same way."""

    BUCKET = "BUCKET"
    CLAIM = "CLAIM"
    BOTH = "BOTH"


class Bucket(NamedTuple):
    """The key of a claim: no two have the same in the whole cluster. Values are compared as they are."""

    type: BucketType
    value: str

    def __str__(self) -> str:
        return f'{self.type.name} "{self.value}"'


class Subject(NamedTuple):
    """For whom a claim is made."""

    type: SubjectType
    id: int


class Source(NamedTuple):
    """The row in the cell's database that a claim stands for; ids are compared byte by byte."""

    type: SourceType
    id: bytes


@dataclass(frozen=True, slots=True)
class UserData:
    """What the client keeps with a claim; nobody here reads it."""

    type_url: str
    value: bytes


class Metadata(NamedTuple):
    """A claim as a client states it."""

    bucket: Bucket
    subject: Subject
    source: Source
    user_data: UserData | None = None
    spelling: Spelling = Spelling.BUCKET


class Record(NamedTuple):
    """A claim on record. `lease` is the uuid of the lease that holds it, or empty."""

    uuid: str
    metadata: Metadata
    cell_id: int
    status: Status
    lease: str
    created_at: datetime
    updated_at: datetime
    updated_by: str

    @property
    def bucket(self) -> Bucket:
        """The key."""
        return self.metadata.bucket


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A batch that has begun. It never expires.

    The buckets that it holds stand here, or in `parts` parts beside it where one transaction can't hold all.
    PostgreSQL, where an index finds the records of a lease, leaves both empty.
    """

    uuid: str
    cell_id: int
    phase: Phase
    created_at: datetime
    updated_at: datetime
    updated_by: str
    creates: tuple[Bucket, ...] = ()
    destroys: tuple[Bucket, ...] = ()
    parts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimBatch:
    """What a cell wants to create and destroy together, all or nothing."""

    cell_id: int
    creates: tuple[Metadata, ...] = ()
    destroys: tuple[Metadata, ...] = ()

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """Every key that the batch touches, creates first."""
        return tuple(each.bucket for each in (*self.creates, *self.destroys))
