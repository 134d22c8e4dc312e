"""`cellplane fleet forget`: a sidecar that is stopped for good is waited for no more."""

from __future__ import annotations

from cellplane.cli.outcome import Exit
from tests.cellplane.cli.conftest import Run
from tests.cellplane.cli.pages_thread import served
from tests.cellplane.cli.test_fleet import pages
from tests.cellplane.test_fleet_report import GOOD

FORGET = ("fleet", "forget", "pod-1", "--cell", "4", "--reason", "node was drained")


def test_it_is_written_down_why(run: Run) -> None:
    with served(pages(GOOD)) as url:
        shown = run(*FORGET, "--control-plane", url, "--dry-run").output
        assert "would: sidecar pod-1 of cell 4: waited for no more" in shown
        run(*FORGET, "--control-plane", url, "--yes")
        refused = run(*FORGET[:-1], "", "--control-plane", url, "--yes", expect=Exit.REFUSED)
        assert "how you know that it is stopped" in refused.output


def test_one_that_is_connected_is_not_forgotten(run: Run) -> None:
    with served(pages(GOOD)) as url:
        arguments = ("fleet", "forget", GOOD.id, "--cell", "4", "--control-plane", url, "--yes")
        assert "good is connected" in run(*arguments, expect=Exit.REFUSED).output
