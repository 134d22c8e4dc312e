"""Where a PostgreSQL database is: a URL as libpq knows it, which is never shown with its password.

The command line makes it, connections are opened with it. It connects to nothing. Third road: where it leads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

_SCHEMES: Final = ("postgresql", "postgres")


@dataclass(frozen=True, slots=True)
class Address:
    """Where the claims are: a URL as libpq knows it. Its text and its repr hide the password."""

    url: str = field(repr=False)
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in _SCHEMES or not parts.path.strip("/"):
            raise ValueError("is no URL of a PostgreSQL database: write postgresql://USER@HOST:PORT/DATABASE")

    @property
    def has_password(self) -> bool:
        """Tell whether the URL itself carries a password."""
        parts = urlsplit(self.url)
        return ":" in parts.netloc.rpartition("@")[0] or "password=" in parts.query

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        user, at, hosts = parts.netloc.rpartition("@")
        return f"postgresql://{user.partition(':')[0]}{at}{hosts}{parts.path}"
