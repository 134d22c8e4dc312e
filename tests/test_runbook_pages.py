"""Every alert has its runbook, and every runbook its parts."""

from __future__ import annotations

import re

import pytest

from tests.runbook_pages import (
    ALERT_HEADINGS,
    EXPECTED,
    FOLDER,
    PROCEDURE_HEADINGS,
    Command,
    commands,
    headings,
    pages,
    text_of,
)
from tests.test_deploy import alerts

PROCEDURES = {
    "AddCell", "DrainCell", "MoveOwner", "QuarantineCell", "RestoreEtcd", "RollBackRules",
    "RotateCertificates", "UpgradeEnvoy",
}  # fmt: skip


def test_each_alert_and_each_procedure_has_a_page_and_no_page_is_left_over() -> None:
    named = {rule["alert"] for rule in alerts()}
    assert set(pages()) == named | PROCEDURES
    assert {rule["annotations"]["runbook"] for rule in alerts()} == {f"runbooks/{name}.md" for name in named}
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\((\w+)\.md\)", index)) == set(pages())


@pytest.mark.parametrize("page", pages())
def test_a_page_follows_the_template(page: str) -> None:
    text = text_of(page)
    assert text.startswith(f"# {page}\n")
    assert headings(text) == (PROCEDURE_HEADINGS if page in PROCEDURES else ALERT_HEADINGS)
    assert "last exercised: 20" in text
    assert list(commands(text)), "no command that can be tried"
    for link in re.findall(r"\]\(([^)#h][^)#]*)\)", text):
        assert (FOLDER / link).resolve().exists(), f"{page} points to {link}, which is not there"


def test_commands_and_what_is_expected_of_them() -> None:
    text = f"a\n```sh\none\n{EXPECTED}two\nthree\n```\n```text\nfour\n```\n```sh\nfive\n```\n"
    assert list(commands(text)) == [Command("one", "two"), Command("three", ""), Command("five", "")]
