"""What an application is told, and one that has no part."""

from __future__ import annotations

from dataclasses import replace

from tests.topology.moves.rig import MOVE, wish
from topology.moves.hooks import NoHooks, Ready, call_body
from topology.moves.model import Step


def test_a_call_names_move_step_owners_and_a_key_of_its_own() -> None:
    assert call_body(wish(step=Step.DRAIN)) == {
        "key": f"{MOVE}/DRAIN",
        "move": MOVE,
        "step": "DRAIN",
        "owners": [{"owner": "ORGANIZATION/42", "epoch": 1}],
        "from_cell": 1,
        "to_cell": 2,
        "reason": "room",
        "by": "ada",
    }


def test_on_the_way_back_owners_are_at_the_epoch_that_they_leave() -> None:
    body = call_body(replace(wish(), step=Step.RETURN_FREEZE))
    assert body["owners"] == [{"owner": "ORGANIZATION/42", "epoch": 2}]


async def test_without_an_application_everything_is_ready() -> None:
    assert (NoHooks().told(Step.TEST), await NoHooks().call(wish())) == ("", Ready())
