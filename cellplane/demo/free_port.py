"""Ports for servers that are about to be started: each is one process's until that process ends.

A look at what is bound is not enough. A server binds some time after its port was chosen, and Envoy shares
its port with whoever shares it too: two demos that began together would each get half of the other's
requests.
"""

from __future__ import annotations

import fcntl
import functools
import itertools
import os
import random
from collections.abc import Iterator
from pathlib import Path

from cellplane.listening import bind_once

# Below the range that the kernel gives to outgoing connections, so that none of those takes a port before
# its server.
_PORTS = range(10_000, 32_000)
_handed_out: set[int] = set()


class NoFreePort(OSError):
    """Every port is taken on this address."""


def free_port(preferred: int = 0, host: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on: the preferred one if it is free, else any.

    No other process of this user gets it from here while this one lives, nor does this one get it twice.
    """
    others = itertools.islice(_shuffled(), len(_PORTS))
    for port in itertools.chain([preferred] if preferred else [], others):
        if port not in _handed_out and _unbound(port, host) and _lock(port):
            _handed_out.add(port)
            return port
    raise NoFreePort(f"no free port found on {host}")


@functools.cache
def _shuffled() -> Iterator[int]:
    return itertools.cycle(random.sample(_PORTS, len(_PORTS)))


def _unbound(port: int, host: str) -> bool:
    try:
        bind_once(host, port)
    except OSError:
        return False
    return True


def _lock(port: int) -> bool:
    """Lock the byte of this number in a file that all of this user's processes share; it goes with us."""
    try:
        fcntl.lockf(_lock_file(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


@functools.cache
def _lock_file() -> int:
    # Never closed: a process loses all its locks on a file with the first descriptor of it that it closes.
    # Not in TMPDIR, which may be each process's own.
    path = Path("/tmp", f"cellplane-ports-{os.getuid()}")  # noqa: S108 - no link is followed, and it holds nothing
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
