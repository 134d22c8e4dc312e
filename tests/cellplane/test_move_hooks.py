"""The file that says what is called of the application, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellplane.move_hooks import Hook, read_hooks
from cellplane.settings import SettingsError
from topology.moves.model import Step


def written(folder: Path, text: str) -> Path:
    file = folder / "hooks.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_urls_and_commands_by_step(tmp_path: Path) -> None:
    token = written(tmp_path, "secret").rename(tmp_path / "token")
    text = f"""
schema: 1
hooks:
  prepare: {{url: "https://mover.internal/prepare", timeout: 2m, token-file: {token}}}
  return-freeze: {{command: [/usr/local/bin/mover, freeze]}}
"""
    hooks = read_hooks(written(tmp_path, text))
    assert dict(hooks) == {
        Step.PREPARE: Hook(url="https://mover.internal/prepare", timeout_seconds=120, token_file=token),
        Step.RETURN_FREEZE: Hook(command=("/usr/local/bin/mover", "freeze")),
    }
    assert [str(hook) for hook in hooks.values()] == [
        "POST https://mover.internal/prepare", "run /usr/local/bin/mover",
    ]  # fmt: skip


def test_it_is_named_without_its_secrets() -> None:
    hook = Hook(url="https://mover:pass@mover.internal:8443/prepare?sig=secret#x")
    assert str(hook) == "POST https://mover.internal:8443/prepare"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("]", "is no YAML"),
        ("hooks: {}", "must hold `schema: 1` and `hooks:`"),
        ("{schema: 1, hooks: []}", "hooks: must name steps"),
        ("{schema: 1, hooks: {fly: {}}}", "hooks.fly is no step: use one of prepare, freeze"),
        ("{schema: 1, hooks: {test: {}}}", "hooks.test: needs either url or command"),
        (
            '{schema: 1, hooks: {test: {url: "http://me:pw@x/", token-file: /etc/hostname}}}',
            "hooks.test: a user in the url and a token-file are two ways to say who asks: use one",
        ),
        ("{schema: 1, hooks: {test: 7}}", "hooks.test: write url or command"),
        ("{schema: 1, hooks: {test: {url: 'ftp://x'}}}", "hooks.test.url: 'ftp://x' is no URL"),
        ("{schema: 1, hooks: {test: {command: [mover]}}}", "a program by its whole path"),
        ("{schema: 1, hooks: {test: {url: 'http://x', timeout: soon}}}", "'soon' is no duration"),
        ("{schema: 1, hooks: {test: {url: 'http://x', timeout: 2d}}}", "out of range: use 1s to 1h"),
        ("{schema: 1, hooks: {test: {url: 'http://x', token-file: /nowhere}}}", "there is no file /nowhere"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_hooks(written(tmp_path, text))
    assert fault in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        read_hooks(tmp_path / "none")
