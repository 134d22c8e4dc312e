"""The two shapes of protobuf's wire format that xDS responses are joined from: varints and sized fields.

Used by `resource` (each resource is encoded once) and `wire` (responses are joined bytes) on the line
`Snapshot -> Response`. It never parses, and knows no message types.
"""


def varint(value: int) -> bytes:
    """Encode a non-negative integer as a base-128 varint."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field_head(number: int, length: int) -> bytes:
    """Encode the tag and length that go before the content of a length-delimited field."""
    return varint(number << 3 | 2) + varint(length)


def field(number: int, content: bytes) -> bytes:
    """Encode a length-delimited field: a string, bytes or a nested message."""
    return field_head(number, len(content)) + content


def duration_field(number: int, seconds: float) -> bytes:
    """Encode a `google.protobuf.Duration` that is not negative; none at all for zero."""
    whole, nanos = divmod(round(seconds * 1e9), 10**9)
    content = (b"\x08" + varint(whole) if whole else b"") + (b"\x10" + varint(nanos) if nanos else b"")
    return field(number, content) if content else b""


def text_field(number: int, content: str) -> bytes:
    """Encode a string field; an empty string is left out, as proto3 does."""
    return field(number, content.encode()) if content else b""
