"""Whether an address can be listened on.

The servers of all roles ask at their start, before a gRPC server tries: it would write a line of its own. Who
chooses a free port asks too. It stands beside the roads.
"""

from __future__ import annotations

import socket

from cellplane.settings import Listen, SettingsError


def check_free(listen: Listen, option: str) -> None:
    """Raise SettingsError where it cannot. A name is left to the server, which asks for its addresses."""
    try:
        bind_once(listen.host, listen.port)
    except socket.gaierror:
        return
    except OSError as error:
        raise SettingsError(f"{option} {listen}: can't listen there: {error.strerror}.") from None


def bind_once(host: str, port: int) -> None:
    """Take an address for a moment, as a server would. Raise OSError where that can't be."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tried.bind((host, port))
