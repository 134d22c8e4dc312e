"""What credentials say of themselves, read without trust: a JWT's claims, the user and password of Basic.

No signature is verified and no password compared: the application does that. What is read here may steer a
request, and grants nothing. `Request -> ClassificationKey -> Decision`: where a key comes from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from envoy.encodings import from_base64, from_base64url
from envoy.flat_json import json_fields

_BASIC: Final = re.compile(r"[Bb][Aa][Ss][Ii][Cc] +([A-Za-z0-9+/]+=*)\Z")
_JWT: Final = re.compile(r"[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]*\Z")


def basic_fields(value: str) -> Mapping[str, str] | None:
    """Read an Authorization value of type Basic: `user` and `password`."""
    found = _BASIC.match(value)
    decoded = from_base64(found[1]) if found else None
    if decoded is None:
        return None
    user, colon, password = decoded.partition(":")
    return {"user": user, "password": password} if colon else None


def jwt_fields(token: str) -> Mapping[str, str] | None:
    """Read the claims of a JWT that are strings or whole numbers; neither header nor signature is read."""
    found = _JWT.match(token)
    decoded = from_base64url(found[1]) if found else None
    return None if decoded is None else json_fields(decoded)
