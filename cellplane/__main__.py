"""The entry point: checks the environment before anything that needs it is imported, then hands over to the
command line.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run `cellplane`; end with a clear message where another package stands on our names, or `pb/` is
    stale.
    """
    # The demo starts programs; gRPC would warn at each, though none of them goes on with our channels.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    # Its own news of connections that end; what matters of it we log ourselves.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    from cellplane.environment import faults  # noqa: PLC0415  nothing else may be imported before this

    if found := faults():
        for fault in found:
            sys.stderr.write(f"cellplane cannot start: {fault}.\n")
        raise SystemExit(1)
    from cellplane.cli.root import cellplane  # noqa: PLC0415

    cellplane(prog_name="cellplane")


if __name__ == "__main__":
    main()
