"""The story remembers every claim that did not hold, and prints text as text."""

from __future__ import annotations

import io

from rich.console import Console

from cellplane.demo.say import Story


def story() -> tuple[Story, io.StringIO]:
    output = io.StringIO()
    return Story(Console(file=output, highlight=False, soft_wrap=True)), output


def test_a_claim_that_does_not_hold_is_remembered_and_printed_with_its_reason() -> None:
    told, output = story()
    told.step("First")
    told.check(True, "the sun rises")
    told.check(False, "it snows", "[30 degrees]")
    told.verdict(2.0)

    assert told.failures == ["it snows"]
    assert "1. First" in output.getvalue()
    assert "ok     the sun rises" in output.getvalue()
    assert "FAILED it snows: [30 degrees]" in output.getvalue()
    assert "1 claims did not hold in 2 s" in output.getvalue()


def test_a_tour_that_holds_says_so() -> None:
    told, output = story()
    told.check(True, "all is well")
    told.verdict(12.3)

    assert told.told
    assert not told.failures
    assert "Every claim held, in 12 s" in output.getvalue()


def test_what_ends_the_tour_is_a_failure() -> None:
    told, output = story()
    told.fail("etcd [dead]")

    assert told.failures
    assert "etcd [dead]" in output.getvalue()
