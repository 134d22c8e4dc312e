"""Errors of the client."""

from __future__ import annotations

from topology.client.errors import ClaimError, NameTaken


def test_an_error_carries_the_services_reason() -> None:
    error: ClaimError = NameTaken("taken", "CLAIM_TAKEN")
    assert (str(error), error.reason) == ("taken", "CLAIM_TAKEN")
