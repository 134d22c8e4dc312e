"""The texts that Envoy and the ext_proc server exchange."""

from __future__ import annotations

import pytest

from envoy.questions import (
    ASKED,
    CLAIMS,
    NOTHING,
    Question,
    Told,
    ask,
    bucket_of,
    read_questions,
    spell,
    told,
)
from pb.envoy.service.ext_proc.v3.external_processor_pb2 import (
    HttpHeaders,
    ProcessingRequest,
    ProcessingResponse,
)
from topology.claims.model import Bucket, BucketType


def message(text: str) -> ProcessingRequest:
    request = ProcessingRequest(request_headers=HttpHeaders())
    request.metadata_context.filter_metadata[ASKED][CLAIMS] = text
    return request


def test_each_line_is_a_question() -> None:
    assert read_questions(message("path 1 0 acme\npath 3 17 acme%2Fweb\nid 6 0 42")) == (
        Question("path", Bucket(BucketType.ROUTES, "acme")),
        Question("path", Bucket(BucketType.REDIRECT_ROUTES, "acme/web"), 17),
        Question("id", Bucket(BucketType.PROJECT_IDS, "42")),
    )


def test_any_bytes_can_be_asked_for() -> None:
    value = bytes(range(128)) + "é€".encode()
    (question,) = read_questions(ask([("path", BucketType.ROUTES, 3, value)])) or ()
    assert question == Question("path", Bucket(BucketType.ROUTES, value.decode()), 3)


def test_what_is_no_utf8_nobody_can_have_claimed() -> None:
    assert read_questions(message("path 1 9 a%FF")) == (Question("path", None),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "path",
        "path 1 0",
        "path 1 0 a b",
        "path 99 0 a",
        "path 0 0 a",
        "path 1 -1 a",
        "path 1 x a",
        "path 1 ² a",
        "\n".join(["path 1 0 a"] * 17),
        "path 1 0 a\n",
    ],
)
def test_what_lua_never_writes_is_no_question(text: str) -> None:
    assert read_questions(message(text)) is None


def test_a_message_without_our_metadata_asks_nothing() -> None:
    assert read_questions(ProcessingRequest(request_headers=HttpHeaders())) is None


def test_answers_are_lines_in_the_order_of_the_questions() -> None:
    response = ProcessingResponse.FromString(spell((Told(3, 7, 60), Told(None, 0, 5))))
    assert told(response) == "3 7 60\n0 0 5"
    assert response.WhichOneof("response") == "request_headers"
    assert ProcessingResponse.FromString(NOTHING).WhichOneof("response") == "request_headers"


def test_a_value_is_what_its_bytes_say() -> None:
    assert bucket_of(BucketType.ROUTES, "Ã©") == Bucket(BucketType.ROUTES, "é")
    assert bucket_of(BucketType.ROUTES, "\xff") is None
