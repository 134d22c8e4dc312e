from __future__ import annotations

import json

from envoy.rules import (
    DEFAULT_DOCUMENT,
    DEFAULT_RULESET,
    DefaultRule,
    OverrideRule,
    PathPrefixRule,
    SessionCookieRule,
    parse_ruleset,
)


def test_the_built_in_rules_are_override_path_session_default() -> None:
    override, path, session, default = DEFAULT_RULESET.rules
    assert isinstance(override, OverrideRule)
    assert override.header == "x-cellplane-override"
    assert [str(network) for network in override.networks] == ["127.0.0.0/8", "::1/128"]
    assert isinstance(path, PathPrefixRule)
    assert dict(path.prefixes) == {}
    assert session == SessionCookieRule(name="session", cookie="_gitlab_session")
    assert default == DefaultRule(name="default")


def test_the_built_in_document_can_be_written_and_read_again() -> None:
    assert parse_ruleset(json.loads(json.dumps(DEFAULT_DOCUMENT))) == DEFAULT_RULESET
