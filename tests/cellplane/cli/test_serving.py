"""Options of a Topology Service, alone and in the control plane's process."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cellplane.cli.serving import serving_options
from cellplane.settings import Listen
from cellplane.topology_service import ServingSettings


def given(
    prefix: str, *arguments: str, default: str | None = None, **environment: str
) -> ServingSettings | str | None:
    found: list[ServingSettings | None] = []

    @click.command(context_settings={"auto_envvar_prefix": "CELLPLANE"})
    @serving_options(prefix, {"default": default})
    def command(serving: ServingSettings | None) -> None:
        found.append(serving)

    result = CliRunner(env=environment).invoke(command, arguments)
    return found[0] if found else result.stderr


def test_in_the_control_plane_it_is_off_until_asked_for() -> None:
    assert given("topology-") is None
    on = given("topology-", "--topology-listen", "127.0.0.1:9095")
    assert isinstance(on, ServingSettings)
    assert (on.listen, on.rest_listen, on.option) == (
        Listen(host="127.0.0.1", port=9095),
        None,
        "--topology-",
    )


def test_alone_and_embedded_it_is_told_by_the_same_environment() -> None:
    environment = {"CELLPLANE_TOPOLOGY_SERVER_LISTEN": "1.1.1.1:1", "CELLPLANE_TOPOLOGY_SERVER_ADMIN": "ops"}
    for prefix in ("", "topology-"):
        found = given(prefix, **environment)
        assert isinstance(found, ServingSettings)
        assert (found.listen.port, found.names.admins) == (1, frozenset({"ops"}))


def test_the_certificate_of_a_client_is_not_taken_for_the_services_own(tmp_path: Path) -> None:
    mine = {"CELLPLANE_TOPOLOGY_CERT": __file__, "CELLPLANE_TOPOLOGY_KEY": __file__}
    found = given("topology-", "--topology-listen", "127.0.0.1:1", **mine)
    assert isinstance(found, ServingSettings)
    assert not found.tls.given


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--topology-cert", "x"), "--topology-cert needs --topology-listen"),
        (("--topology-listen", "9095"), "write HOST:PORT"),
        (
            ("--topology-listen", "a:1", "--topology-key", "x"),
            "--topology-cert and --topology-key go together",
        ),
        (
            ("--topology-listen", "a:1", "--topology-client-ca", "x"),
            "--topology-client-ca needs --topology-cert",
        ),
    ],
)
def test_mistakes_are_named_as_they_were_written(arguments: tuple[str, ...], words: str) -> None:
    assert words in str(given("topology-", *arguments))
