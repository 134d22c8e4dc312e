"""What codes mean to an application."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from topology.client.errors import ClaimError, ClaimRefused, NameHeld, NameTaken, ServiceAway, TooBusy
from topology.client.failures import meaning


class Failed(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode, reason: str = "", words: str = "words") -> None:
        self._code, self._reason, self._words = code, reason, words

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._words

    def trailing_metadata(self) -> Any:
        if not self._reason:
            return None
        status = status_pb2.Status()
        status.details.add().Pack(error_details_pb2.RetryInfo())
        status.details.add().Pack(error_details_pb2.ErrorInfo(reason=self._reason))
        return {"grpc-status-details-bin": status.SerializeToString()}


@pytest.mark.parametrize(
    ("failed", "kind"),
    [
        (Failed(grpc.StatusCode.UNAVAILABLE), ServiceAway),
        (Failed(grpc.StatusCode.DEADLINE_EXCEEDED), ServiceAway),
        (Failed(grpc.StatusCode.RESOURCE_EXHAUSTED), TooBusy),
        (Failed(grpc.StatusCode.ABORTED), TooBusy),
        (Failed(grpc.StatusCode.ALREADY_EXISTS, "CLAIM_TAKEN"), NameTaken),
        (Failed(grpc.StatusCode.FAILED_PRECONDITION, "CLAIM_LEASED"), NameHeld),
        (Failed(grpc.StatusCode.FAILED_PRECONDITION, "OWNER_MOVING"), NameHeld),
        (Failed(grpc.StatusCode.FAILED_PRECONDITION, "CLAIM_NOT_OWNED"), ClaimRefused),
        (Failed(grpc.StatusCode.INVALID_ARGUMENT), ClaimRefused),
        (Failed(grpc.StatusCode.PERMISSION_DENIED), ClaimRefused),
    ],
)
def test_a_code_is_a_word_of_ours(failed: Failed, kind: type[ClaimError]) -> None:
    found = meaning(failed)
    assert type(found) is kind
    assert (str(found), found.reason) == ("words", failed._reason)


def test_an_answer_without_words_is_named_by_its_code() -> None:
    assert str(meaning(Failed(grpc.StatusCode.UNAVAILABLE, words=""))) == "UNAVAILABLE"
