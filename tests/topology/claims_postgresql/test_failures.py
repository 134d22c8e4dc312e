"""What the server and the driver report becomes a word of ours."""

from __future__ import annotations

import asyncpg
import pytest

from topology.claims_postgresql.failures import Clash, in_doubt, meaning, told
from topology.errors import OutcomeUnknown, StoreError, StoreRefused, StoreUnavailable


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (asyncpg.SerializationError("x"), Clash, "x"),
        (asyncpg.DeadlockDetectedError("x"), Clash, "x"),
        (asyncpg.LockNotAvailableError("held"), StoreUnavailable, "held"),
        (asyncpg.QueryCanceledError("too long"), StoreUnavailable, "too long"),
        (asyncpg.AdminShutdownError("going"), StoreUnavailable, "going"),
        (asyncpg.CannotConnectNowError("starting up"), StoreUnavailable, "starting up"),
        (asyncpg.TooManyConnectionsError("full"), StoreUnavailable, "full"),
        (asyncpg.ReadOnlySQLTransactionError("a replica"), StoreUnavailable, "a replica"),
        (asyncpg.DiskFullError("no space"), StoreRefused, "its disk is full"),
        (asyncpg.InvalidPasswordError("who?"), StoreRefused, "who?"),
        (asyncpg.InsufficientPrivilegeError("may not"), StoreRefused, "may not"),
        (asyncpg.UndefinedTableError("no claims"), StoreRefused, "cellplane topology migrate"),
    ],
)
def test_an_answer_of_the_server(error: asyncpg.PostgresError, kind: type[StoreError], words: str) -> None:
    found = meaning(error)
    assert type(found) is kind
    assert words in str(found)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (asyncpg.InterfaceError("the connection is closed"), StoreUnavailable),
        (asyncpg.InternalClientError("odd"), StoreUnavailable),
        (asyncpg.ConnectionDoesNotExistError("gone"), StoreUnavailable),
        (TimeoutError(), StoreUnavailable),
        (ConnectionRefusedError(111, "Connection refused"), StoreUnavailable),
        (asyncpg.ClientConfigurationError("postgresql://u:secret@h"), StoreRefused),
    ],
)
def test_no_answer(error: Exception, kind: type[StoreError]) -> None:
    with pytest.raises(StoreError) as caught, told():
        raise error
    assert type(caught.value) is kind
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionResetError(104, "reset"), OutcomeUnknown),
        (asyncpg.ConnectionDoesNotExistError("gone"), OutcomeUnknown),
        (asyncpg.AdminShutdownError("going"), OutcomeUnknown),
        (TimeoutError(), OutcomeUnknown),
        (asyncpg.LockNotAvailableError("held"), StoreUnavailable),
        (asyncpg.QueryCanceledError("too long"), StoreUnavailable),
        (asyncpg.SerializationError("x"), Clash),
        (asyncpg.DiskFullError("no space"), StoreRefused),
    ],
)
def test_of_a_commit_only_a_no_is_sure(error: Exception, kind: type[StoreError]) -> None:
    with pytest.raises(StoreError) as caught, in_doubt():
        raise error
    assert type(caught.value) is kind


def test_a_standby_is_told_in_words_of_ours() -> None:
    with pytest.raises(StoreUnavailable, match="a standby only reads: name the primary"), told():
        raise asyncpg.TargetServerAttributeNotMatched("None of the hosts match SessionAttribute.read_write")
