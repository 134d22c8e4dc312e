"""Scopes of a registry's token request: which namespaces it is about.

`transforms` reads them from the query as it is written; `decide.lua` has the same. Shapes: the distribution
project's token specification. `Request -> ClassificationKey -> Decision`: how a key is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

_BROKEN: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_SCOPE: Final = re.compile(r"([^:]*):(.*):([^:]*)\Z")
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9._-]+")
_READING: Final = frozenset({"pull", ""})


def registry_scopes(text: str) -> Mapping[str, str] | None:
    """Give `namespaces`, separated by spaces, of scopes such as `repository:acme/web:pull,push`.

    Several values of the parameter are separated by `&`, as in the query. Where one scope writes, only those
    that write count: what they read from elsewhere, they read as anybody. Without a repository there is no
    field.
    """
    if _BROKEN.search(text):
        return None
    reading: dict[str, None] = {}
    writing: dict[str, None] = {}
    for value in text.split("&"):
        plain = unquote(value.replace("+", " "), encoding="latin-1")
        if _CONTROL.search(plain):
            return None  # an application may part scopes by any white space, and would see more of them
        for scope in plain.split(" "):
            if not scope:
                continue
            found = _SCOPE.match(scope)
            if found is None:
                return None
            kind, name, actions = found.groups()
            if kind.partition("(")[0] != "repository":
                continue
            namespace = name.partition("/")[0]
            if not _NAMESPACE.fullmatch(namespace):
                return None
            writes = not _READING.issuperset(actions.split(","))
            (writing if writes else reading)[namespace] = None
    namespaces = " ".join(writing or reading)
    return {"namespaces": namespaces} if namespaces else {}
