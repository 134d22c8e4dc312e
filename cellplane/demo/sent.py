"""What was sent to Envoys, counted from the fleet's status page and put into words.

The tour prints it per step.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

NOTHING: Final = "nothing"


def sent_by_type(fleet: dict[str, Any]) -> Counter[str]:
    """Count the resources that were sent to all nodes, by type."""
    return Counter(
        {
            name: sum(node["types"].get(name, {}).get("resources_sent", 0) for node in fleet["nodes"])
            for name in {name for node in fleet["nodes"] for name in node["types"]}
        }
    )


def describe(sent: Counter[str]) -> str:
    """Say what was sent, in words."""
    return (
        ", ".join(
            f"{count} {name}{'s' if count > 1 else ''}" for name, count in sorted(sent.items()) if count
        )
        or NOTHING
    )
