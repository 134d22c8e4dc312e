"""Classification keys: what a request says of where it belongs, before anybody is asked.

Rules make them, the View answers those that name a cell, and the claims' owners are looked up. `Request ->
ClassificationKey -> Decision`, its second noun.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from topology.claims.model import BucketType


class KeyType(StrEnum):
    """What a key says: a cell, or a claim that somebody has to look up."""

    CELL_ID = "cell_id"
    SESSION_PREFIX = "session_prefix"
    FIRST_CELL = "first_cell"
    ROUTE = "route"
    ORGANIZATION_PATH = "organization_path"
    REDIRECT_ROUTE = "redirect_route"
    USERNAME = "username"
    EMAIL = "email"
    PROJECT_ID = "project_id"
    NAMESPACE_ID = "namespace_id"
    GPG_KEY = "gpg_key"
    SSH_KEY = "ssh_key"
    USER_ID = "user_id"
    ORGANIZATION_ID = "organization_id"
    SERVICE_DESK_CUSTOM_EMAIL = "service_desk_custom_email"
    GPG_KEY_FINGERPRINT = "gpg_key_fingerprint"
    SSH_KEY_FINGERPRINT = "ssh_key_fingerprint"
    SNIPPET_ID = "snippet_id"
    PAGES_DOMAIN = "pages_domain"
    PAGES_UNIQUE_DOMAIN = "pages_unique_domain"


BUCKETS: Final[Mapping[KeyType, BucketType]] = {
    KeyType.ROUTE: BucketType.ROUTES,
    KeyType.ORGANIZATION_PATH: BucketType.ORGANIZATION_PATH,
    KeyType.REDIRECT_ROUTE: BucketType.REDIRECT_ROUTES,
    KeyType.USERNAME: BucketType.USERNAMES,
    KeyType.EMAIL: BucketType.EMAILS,
    KeyType.PROJECT_ID: BucketType.PROJECT_IDS,
    KeyType.NAMESPACE_ID: BucketType.NAMESPACE_IDS,
    KeyType.GPG_KEY: BucketType.GPG_KEYS,
    KeyType.SSH_KEY: BucketType.SSH_KEYS,
    KeyType.USER_ID: BucketType.USER_IDS,
    KeyType.ORGANIZATION_ID: BucketType.ORGANIZATION_IDS,
    KeyType.SERVICE_DESK_CUSTOM_EMAIL: BucketType.SERVICE_DESK_CUSTOM_EMAILS,
    KeyType.GPG_KEY_FINGERPRINT: BucketType.GPG_KEY_FINGERPRINTS,
    KeyType.SSH_KEY_FINGERPRINT: BucketType.SSH_KEY_FINGERPRINTS,
    KeyType.SNIPPET_ID: BucketType.SNIPPET_IDS,
    KeyType.PAGES_DOMAIN: BucketType.PAGES_DOMAINS,
    KeyType.PAGES_UNIQUE_DOMAIN: BucketType.PAGES_UNIQUE_DOMAINS,
}
"""Keys that are claims, and where each is looked up. The others are answered from the View alone."""


MAX_VALUES: Final = 10
"""How many values one key may have before it is ambiguous."""


@dataclass(frozen=True, slots=True)
class ClassificationKey:
    """A key of a request. Its value is empty for `first_cell`.

    With `many` it holds several, with spaces between: all that are owned must be one cell's.
    """

    type: KeyType
    value: str
    many: bool = False

    @property
    def values(self) -> tuple[str, ...]:
        """Give each value."""
        return tuple(filter(None, self.value.split(" "))) if self.many else (self.value,)

    def __str__(self) -> str:
        return f"{self.type} {self.value}" if self.value else str(self.type)
