"""Fields of a request that this version does not know: refused with their number, never skipped.

The gate asks for every method. To pass over what a newer client says would answer another question than the
one that was asked, or do what a dry run should only have told. Stands before `Request -> ClassificationKey ->
Decision`, and on the third road.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from topology.service.failure import invalid

# Reads a field that was removed, and sees to the others itself.
_READS_ITSELF: Final = frozenset({"/gitlab.cells.topology_service.ClassifyService/Classify"})


def refuse_unknown(method: str, request: Message) -> None:
    """Raise Failure where a request holds a field that is not known, at any depth."""
    if method in _READS_ITSELF:
        return
    known = type(request)()
    known.CopyFrom(request)
    known.DiscardUnknownFields()
    if known.ByteSize() != request.ByteSize():
        raise invalid(next(unknown_fields(request, "request")), "FIELD_UNKNOWN")


def unknown_fields(message: Message, path: str) -> Iterator[str]:
    """Name the fields of a message that are not known, each with where it is."""
    for number in unknown_numbers(message):
        yield f"{path}: holds field {number}, which this version does not know"
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for at, each in enumerate(value if field.is_repeated else [value]):
            yield from unknown_fields(each, f"{field.name}[{at}]" if field.is_repeated else field.name)


def unknown_numbers(message: Message) -> tuple[int, ...]:
    """Give the numbers of the fields of a message itself that are not known."""
    fields = UnknownFieldSet(message)
    return tuple(sorted(fields[at].field_number for at in range(len(fields))))
