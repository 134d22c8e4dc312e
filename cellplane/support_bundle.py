"""A file to hand to whoever helps: what was found and what the control plane tells, without what is secret.

`doctor` fills it. Passwords never get in: variables that may hold one are left out, and so is the content of
records that could not be read. Names of nodes, cells and people are in it.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import platform
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_SECRET: Final = re.compile(r"password|passwd|secret|token|credential|authorization|private", re.IGNORECASE)
_IN_URL: Final = re.compile(r"(?<=://)[^/@\s\"]+@")
REDACTED: Final = "(left out)"


def about_us(environment: Mapping[str, str]) -> dict[str, Any]:
    """Tell of this program and its surroundings."""
    packages = ("cellplane", "grpcio", "protobuf", "aiohttp", "uvloop", "prometheus-client")
    return {
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "python": platform.python_version(),
        "system": platform.platform(),
        "variables": {
            name: value for name, value in sorted(environment.items()) if name.startswith("CELLPLANE_")
        },
    }


def redacted(value: Any, name: str = "") -> Any:
    """Give a value without what may be secret: by the name of its field, or by where it stands in a URL."""
    if _SECRET.search(name) and isinstance(value, str | bytes) and value:
        return REDACTED
    match value:
        case Mapping():
            # The first bytes of a record that nobody can read may be anything.
            return {
                key: REDACTED if key == "raw" else redacted(each, str(key)) for key, each in value.items()
            }
        case list() | tuple():
            return [redacted(each, name) for each in value]
        case str():
            return _IN_URL.sub(f"{REDACTED}@", value)
        case _:
            return value


def write_bundle(path: Path, parts: Mapping[str, Any]) -> None:
    """Write a gzipped tar: text as it is, anything else as JSON. Raise OSError where it cannot be written.

    A file that is there already is left alone.
    """
    with path.open("xb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, part in parts.items():
            safe = redacted(part)
            text = safe if isinstance(safe, str) else json.dumps(safe, indent=1, sort_keys=True, default=str)
            content = text.encode()
            member = tarfile.TarInfo(f"{path.name.split('.')[0]}/{name}")
            member.size = len(content)
            member.mode = 0o600
            archive.addfile(member, io.BytesIO(content))
    path.chmod(0o600)
