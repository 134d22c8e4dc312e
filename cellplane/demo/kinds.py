"""One request of each kind of key, with the rule that must decide it and the cell that must answer.

The tour sends them; the data says what the product promises.
"""

from __future__ import annotations

from cellplane.demo.traffic import Answer, Ask, path_ask, session_ask

SESSION_OF_1 = {"cookie": "_gitlab_session=cell-1-5eed"}
KINDS: tuple[tuple[Ask, str], ...] = (
    (
        Ask(kind="operator's override", headers={"x-cellplane-override": "cell-2", **SESSION_OF_1}, owner=2),
        "override",
    ),
    (Ask(kind="path, whatever the session", path="/acme/x", headers=SESSION_OF_1, owner=3), "path"),
    (path_ask("/globex", 2), "path"),
    (session_ask(3), "session"),
    (
        Ask(kind="session of a cell that never was", headers={"cookie": "_gitlab_session=cell-77-a"}),
        "default",
    ),
    (Ask(kind="a client's own x-cellplane-cell", headers={"x-cellplane-cell": "cell-3"}), "default"),
)


def is_as_promised(answer: Answer, rule: str) -> bool:
    """Say whether the right cell answered by the right rule, and both sides were told its name."""
    name = f"cell-{answer.cell}"
    return (
        answer.status == 200
        and answer.rule == rule
        and answer.ask.owner in (None, answer.cell)
        and answer.response_headers.get("x-cellplane-cell") == name
        and answer.seen_by_cell.get("x-cellplane-cell") == name
    )
