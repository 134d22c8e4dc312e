"""Whether an address can be listened on, asked before a gRPC server tries: it would write a line of its own.

The servers of all roles ask at their start. It stands beside the roads.
"""

from __future__ import annotations

import socket

from cellplane.settings import Listen, SettingsError


def check_free(listen: Listen, option: str) -> None:
    """Raise SettingsError where it cannot. A name is left to the server, which asks for its addresses."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    with socket.socket(family) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((listen.host, listen.port))
        except socket.gaierror:
            return
        except OSError as error:
            raise SettingsError(f"{option} {listen}: can't listen there: {error.strerror}.") from None
