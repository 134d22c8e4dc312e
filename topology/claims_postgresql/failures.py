"""What PostgreSQL and its driver report, as the words of `topology.errors`.

Everything here that talks to the server does so inside `told`. No message carries a password: the server's do
not, and the driver's are not repeated. Third road, where it fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from topology.errors import OutcomeUnknown, StoreError, StoreRefused, StoreUnavailable

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_CLASH: Final = ("40001", "40P01")
_AWAY: Final = ("08", "53", "57", "55P03", "25006", "40")
DEAD: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    ConnectionError,
)
_DISK_FULL: Final = "53100"
_NO_SCHEMA: Final = ("42P01", "42703", "42883", "3F000")
MIGRATE: Final = "run `cellplane topology migrate` with the same --claim-store"


class Clash(StoreUnavailable):
    """Others were at the same records at the same moment, and nothing happened: worth another attempt."""


@contextmanager
def told() -> Iterator[None]:
    """Raise what the driver raises as what it means here."""
    try:
        yield
    except asyncpg.PostgresError as error:
        raise meaning(error) from error
    except asyncpg.ClientConfigurationError as error:
        raise StoreRefused("PostgreSQL: the URL of the claim store can't be used as it is") from error
    except asyncpg.TargetServerAttributeNotMatched as error:
        raise StoreUnavailable(
            "PostgreSQL: none of its hosts can be written to, a standby only reads: name the primary"
        ) from error
    except (asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise StoreUnavailable(f"PostgreSQL: {type(error).__name__}: {error}") from error
    except TimeoutError as error:
        raise StoreUnavailable("PostgreSQL did not answer in time") from error
    except OSError as error:
        raise StoreUnavailable(f"PostgreSQL can't be reached: {error.strerror or error}") from error


@contextmanager
def in_doubt() -> Iterator[None]:
    """Raise OutcomeUnknown where the answer to a commit got lost; an answer that says no is no doubt."""
    try:
        with told():
            yield
    except Clash:
        raise
    except StoreUnavailable as error:
        if isinstance(error.__cause__, asyncpg.PostgresError) and not was_dead(error):
            raise
        raise OutcomeUnknown(f"a commit got no answer, and may have happened: {error}") from error


def was_dead(error: StoreUnavailable) -> bool:
    """Tell whether the connection was, or died of it: another one may do."""
    return isinstance(error.__cause__, DEAD)


def meaning(error: asyncpg.PostgresError) -> StoreError:
    """Say what an answer of the server means."""
    state, words = error.sqlstate or "", f"PostgreSQL: {error}"
    if state in _CLASH:
        return Clash(words)
    if state == _DISK_FULL:
        return StoreRefused(f"{words}: its disk is full")
    if state in _NO_SCHEMA:
        return StoreRefused(f"{words}: the tables are not there, or too old; {MIGRATE}")
    if state.startswith(_AWAY):
        return StoreUnavailable(words)
    return StoreRefused(words)
