"""What `explain --live` makes of an edge's answer; a real edge answers in tests/integration."""

from __future__ import annotations

import click
import pytest

from cellplane.cli.live import Live, ask_edge, differences
from cellplane.cli.outcome import Exit
from envoy.decision import Decision, Explanation, Outcome
from envoy.request import Request

TO_2 = Decision(outcome=Outcome.ROUTED, rule="session", cell=2, cluster="cell-2")
SHARED = Decision(outcome=Outcome.ROUTED, rule="default", candidates=((1, 50), (2, 50)))
AWAY = Decision(outcome=Outcome.QUARANTINED, rule="session", cell=2)
REJECTED = Decision(outcome=Outcome.REJECTED, rule="token", status=400)
NO_CELL = Decision(outcome=Outcome.NO_CELL, rule="default")
BAD = Decision(outcome=Outcome.BAD_PATH)


@pytest.mark.parametrize(
    ("decision", "live", "said"),
    [
        (TO_2, (200, "session", "cell-2"), ""),
        (TO_2, (500, "session", "cell-2"), ""),  # the cell's own answer
        (TO_2, (200, "session", "cell-1"), "sent it to cell-1, not to cell-2"),
        (TO_2, (200, "default", "cell-2"), "by rule default, not session"),
        (SHARED, (200, "default", "cell-1"), ""),
        (SHARED, (200, "default", "cell-3"), "not to cell-1 or cell-2"),
        (AWAY, (503, "session", "cell-2"), ""),
        (AWAY, (200, "session", "cell-2"), "answered 200, not 503"),
        (REJECTED, (400, "token", ""), ""),
        (REJECTED, (403, "token", ""), "answered 403, not 400"),
        (NO_CELL, (503, "default", ""), ""),
        (TO_2, (400, "", ""), "400 came before any rule was asked, not by session"),
        (TO_2, (308, "", ""), "sends it to HTTPS, or what answers is no edge"),
        (BAD, (400, "", ""), ""),
        (BAD, (200, "default", "cell-1"), "not 400 before any rule"),
    ],
)
def test_what_is_decided_otherwise_is_said(decision: Decision, live: tuple[int, str, str], said: str) -> None:
    found = list(differences(Explanation(decision, "/", ()), Live(*live, peer="127.0.0.1")))
    assert (len(found), said in "".join(found)) == (1 if said else 0, True)


@pytest.mark.parametrize(
    "header", [("Content-Length", "5"), ("transfer-encoding", "chunked"), ("expect", "100-continue")]
)
def test_no_body_is_announced_that_does_not_come(
    header: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(click.exceptions.Exit) as ended:
        ask_edge(
            "http://127.0.0.1:1", Request(method="GET", path="/", authority="a", headers=(header,)), None
        )
    assert (ended.value.exit_code, "sends no body" in capsys.readouterr().err) == (Exit.USAGE, True)


@pytest.mark.parametrize(
    ("edge", "code"), [("edge:80", Exit.USAGE), ("http://127.0.0.1:1", Exit.UNAVAILABLE)]
)
def test_an_edge_that_is_none(edge: str, code: Exit) -> None:
    with pytest.raises(click.exceptions.Exit) as ended:
        ask_edge(edge, Request(method="GET", path="/", authority="a"), None)
    assert ended.value.exit_code == code
