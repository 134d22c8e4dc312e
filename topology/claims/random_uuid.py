"""Random UUIDs as text, for records and leases: what `uuid.uuid4` gives, without an object for each.

`stored` numbers what it writes with it, unless a test does. Third road: a part of what a `Txn` writes.
"""

from __future__ import annotations

import os

_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def random_uuid() -> str:
    """Give a UUID of version 4, https://www.rfc-editor.org/rfc/rfc9562#section-5.4."""
    digits = os.urandom(16).hex()
    variant = _VARIANT[digits[16]]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
