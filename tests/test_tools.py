"""Which tools are missed, and how that is said."""

from __future__ import annotations

import pytest

from tests.tools import APT, debian_tools, demand_tools, missing_tools, tools_required, why_no_docker

LISTING = """
# a comment
prometheus   # promtool prometheus
luajit       # luajit
bare
"""


def test_commands_name_their_package() -> None:
    assert debian_tools(LISTING) == {"promtool": "prometheus", "prometheus": "prometheus", "luajit": "luajit"}


def test_every_package_of_the_project_names_a_command() -> None:
    text = APT.read_text(encoding="utf-8")
    packages = {line.partition("#")[0].strip() for line in text.splitlines()} - {""}
    assert packages == set(debian_tools(text).values())


def test_a_missing_tool_is_named_with_its_package() -> None:
    packages = {"sh": "dash", "no-such-tool": "nothing"}
    assert missing_tools(("sh", "no-such-tool"), packages) == ("no-such-tool (package nothing)",)
    assert missing_tools(("sh",), packages) == ()


def test_a_tool_of_no_known_package_is_a_mistake_in_the_test() -> None:
    with pytest.raises(ValueError, match=r"deploy/apt\.txt has no package for jq"):
        missing_tools(("jq",), {"sh": "dash"})


@pytest.mark.parametrize(
    ("required", "outcome"), [(True, pytest.fail.Exception), (False, pytest.skip.Exception)]
)
def test_a_missing_tool_skips_or_fails(required: bool, outcome: type[BaseException]) -> None:
    with pytest.raises(outcome, match=r"needs no-such-tool \(package nothing\): make tools"):
        demand_tools(("no-such-tool",), {"no-such-tool": "nothing"}, required)


def test_a_missing_docker_engine_is_told_without_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/socket")
    assert (why_no_docker.__wrapped__() or "").startswith("no Docker engine answers: ")


@pytest.mark.parametrize(("value", "required"), [("1", True), ("", False), ("0", False)])
def test_the_environment_says_whether_tools_are_required(
    monkeypatch: pytest.MonkeyPatch, value: str, required: bool
) -> None:
    monkeypatch.setenv("REQUIRE_TOOLS", value)
    assert tools_required() is required
