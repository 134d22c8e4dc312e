"""What Envoy asks of owners, and what it is told: two short texts, carried by ext_proc as dynamic metadata.

A question is a line for each claim that Lua does not remember; an answer has a line for each, in the same
order. `decide.lua` writes the one and reads the other, `ext_proc` does the reverse. `Request ->
ClassificationKey -> Decision`, its second arrow on the wire.

    question    rule, bucket type, newest generation that the edge knows, value (percent-encoded bytes)
    answer      cell (0: nobody), epoch, seconds for which it may be remembered
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

from google.protobuf import struct_pb2

from pb.envoy.service.ext_proc.v3 import external_processor_pb2 as ext_proc_pb2
from topology.claims.model import Bucket, BucketType

ASKED: Final = "cellplane.asked"
TOLD: Final = "cellplane.told"
"""Namespaces of dynamic metadata. Clients can't write there."""
CLAIMS: Final = "claims"
OWNERS: Final = "owners"
"""The only field of each."""
MAX_QUESTIONS: Final = 16
_TYPES: Final = {str(int(kind)): kind for kind in BucketType}


@dataclass(frozen=True, slots=True)
class Question:
    """Who owns this? `bucket` None: a value that no claim can have. `at_least`: answer from claims as new as
    this revision, for the edge has been told to forget what it knew before.
    """

    rule: str
    bucket: Bucket | None
    at_least: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """The owner's cell, or None where nobody owns it; the owner's epoch; and for how long that holds."""

    cell_id: int | None
    epoch: int
    seconds: int


def read_questions(request: ext_proc_pb2.ProcessingRequest) -> tuple[Question, ...] | None:
    """Read what a message of Envoy's asks; None where it is none of ours."""
    namespaces = request.metadata_context.filter_metadata
    if ASKED not in namespaces:
        return None
    lines = namespaces[ASKED].fields[CLAIMS].string_value.split("\n")
    if len(lines) > MAX_QUESTIONS:
        return None
    found = tuple(question for line in lines if (question := _question(line)) is not None)
    return found if len(found) == len(lines) else None


@lru_cache(maxsize=4096)  # many claims, few cells: most answers have been given before
def spell(answers: tuple[Told, ...]) -> bytes:
    """Spell the answers to one message, as the bytes that go out."""
    lines = "\n".join(f"{each.cell_id or 0} {each.epoch} {each.seconds}" for each in answers)
    owners = struct_pb2.Struct()
    owners[OWNERS] = lines
    response = ext_proc_pb2.ProcessingResponse(request_headers=ext_proc_pb2.HeadersResponse())
    response.dynamic_metadata[TOLD] = owners
    return response.SerializeToString(deterministic=True)


NOTHING: Final = ext_proc_pb2.ProcessingResponse(
    request_headers=ext_proc_pb2.HeadersResponse()
).SerializeToString()
"""What a message gets that asks nothing that can be read: the request goes on, undecided."""


def bucket_of(kind: BucketType, value: str) -> Bucket | None:
    """Make the bucket of a value as requests carry it, a character for each byte; None: no claim has it."""
    try:
        return Bucket(kind, value.encode("latin-1").decode())
    except UnicodeDecodeError:
        return None


def ask(questions: Iterable[tuple[str, BucketType, int, bytes]]) -> ext_proc_pb2.ProcessingRequest:
    """Make a message as Envoy's; for those who try a server by hand."""
    lines = (
        f"{rule} {int(kind)} {at_least} {''.join(f'%{code:02X}' for code in value)}"
        for rule, kind, at_least, value in questions
    )
    request = ext_proc_pb2.ProcessingRequest(request_headers=ext_proc_pb2.HttpHeaders())
    request.metadata_context.filter_metadata[ASKED][CLAIMS] = "\n".join(lines)
    return request


def told(response: ext_proc_pb2.ProcessingResponse) -> str:
    """Give the text of an answer; for those who try a server by hand."""
    return response.dynamic_metadata.fields[TOLD].struct_value.fields[OWNERS].string_value


def _question(line: str) -> Question | None:
    parts = line.split(" ")
    if len(parts) != 4 or parts[1] not in _TYPES or not (parts[2].isascii() and parts[2].isdigit()):
        return None
    try:
        value = unquote_to_bytes(parts[3]).decode()
    except UnicodeDecodeError:
        return Question(parts[0], None)
    return Question(parts[0], Bucket(_TYPES[parts[1]], value), int(parts[2]))
