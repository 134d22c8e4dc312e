"""Python's garbage collector, set for a server: what start-up made is never looked at again, the rest seldom.

The composition root calls it once it is ready to serve (`Snapshot -> Response`, beneath it). A push to a
thousand streams makes some ten thousand short-lived objects, and as set out of the box the collector takes a
fifth of its CPU to find that none of them is garbage.
"""

import gc
from typing import Final

YOUNG: Final = 20_000
"""Objects made and not yet gone, before the young ones are looked at."""
TIMES: Final = 10


def calm_collector() -> None:
    """Collect once, take what is left for permanent, and look for garbage less often from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, TIMES, TIMES)
