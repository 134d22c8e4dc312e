"""Paths as Envoy sees them when it looks for a route, and prefixes of whole segments.

Rules write their prefixes in this form; the evaluator brings a request's path into it first. It follows what
Envoy 1.40 does with `normalize_path` and `merge_slashes`, byte by byte, and `tests/integration` holds both
against each other. `Request -> ClassificationKey -> Decision`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

# Envoy decodes an escape only if it stands for one of these; any other stays as it was written, %2F among
# them: what is escaped on purpose (`/api/v4/projects/group%2Fproject`) is one segment.
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_PERCENT: Final = ord("%")
_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ENCODED: Final = frozenset(b' "<>^`{|}') | frozenset(range(0x80, 0x100))
_REFUSED: Final = re.compile(rb"[\x00-\x20\x7f#]")
_DOTS_WITH_PARAMETERS: Final = re.compile(rb"(?<=/)(\.{1,2});[^/]*")
"""Envoy takes `..;x` for `..`, as some servers do, but only as written: not once an escape is decoded."""
_MANY_SLASHES: Final = re.compile(rb"/{2,}")


def normalise(target: str, *, merge_slashes: bool = True) -> str | None:
    """Bring a request's `:path` into the form that rules are matched on; None where Envoy answers 400 or 404.

    The text is taken as bytes (latin-1, as HTTP has it). The query is left alone.
    """
    raw = target.encode("latin-1" if max(target, default="") <= "\xff" else "utf-8")
    path, mark, query = raw.partition(b"?")
    if not path.startswith(b"/") or _REFUSED.search(path) or b"#" in query:
        return None
    path = _DOTS_WITH_PARAMETERS.sub(rb"\1", path)
    if b"%00" in path:
        return None
    path = _without_dots(_unescaped(path).replace(b"\\", b"/"))
    path = b"".join(b"%%%02X" % byte if byte in _ENCODED else bytes((byte,)) for byte in path)
    if merge_slashes:
        # A path of slashes only keeps two of them: an oddity of Envoy's, seen on 1.40.
        path = b"//" if len(path) > 1 and not path.strip(b"/") else _MANY_SLASHES.sub(b"/", path)
    return (path + mark + query).decode("latin-1")


def under(prefix: str, path: str) -> bool:
    """Tell whether a normalised path is the prefix or lies below it, by whole segments."""
    rest = path[len(prefix) :]
    return path.startswith(prefix) and (not rest or rest[0] in "/?")


def above(prefix: str) -> Iterator[str]:
    """List the prefixes above one: of `/acme/team/x`, `/acme` and `/acme/team`."""
    at = prefix.find("/", 1)
    while at > 0:
        yield prefix[:at]
        at = prefix.find("/", at + 1)


def prefix_problem(text: str) -> str | None:
    """Judge a path prefix of a rule: `/acme` or `/acme/team`, as Envoy sees it."""
    if not text.startswith("/") or text == "/":
        return f"{text!r} is no prefix: write / and at least one segment, such as /acme"
    if "?" in text or not text.isascii():
        return f"{text!r} is no prefix: leave the query out, and escape what is not ASCII as %C3%A9"
    seen = normalise(text)
    if seen is None:
        return f"{text!r} holds what no path may hold: use letters, digits and -._~%"
    if seen == "//":
        return f"{text!r} is no prefix: write / and at least one segment, such as /acme"
    if seen.rstrip("/") != text:
        return f"{text!r} never matches: Envoy sees {seen.rstrip('/')!r}, so write that"
    return None


def _unescaped(path: bytes) -> bytes:
    """Decode what needs no escape.

    Where that would make a new escape of a stray `%` before it, the `%` is escaped instead: `%%41b` becomes
    `%25Ab`, or the next reader would see a byte that nobody wrote.
    """
    out = bytearray()
    stray = -3
    at = 0
    while at < len(path):
        escape = _ESCAPE.match(path, at)
        if escape is None:
            if path[at] == _PERCENT:
                stray = len(out)
            out.append(path[at])
            at += 1
            continue
        at = escape.end()
        byte = int(escape[1], 16)
        if byte not in _UNRESERVED:
            out += escape[0]
            continue
        out.append(byte)
        if stray >= len(out) - 3 and _ESCAPE.fullmatch((bytes(out[stray:]) + path[at : at + 1])[:3]):
            out[stray : stray + 1] = b"%25"
    return bytes(out)


def _without_dots(path: bytes) -> bytes:
    kept: list[bytes] = []
    segments = path.split(b"/")[1:]
    for at, segment in enumerate(segments):
        last = at == len(segments) - 1
        if segment == b"..":
            if kept:
                kept.pop()
        elif segment != b".":
            kept.append(segment)
            continue
        if last:
            kept.append(b"")
    return b"/" + b"/".join(kept)
