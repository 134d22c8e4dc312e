"""Who may act in the console."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from cellplane.console_access import Asked, ConsoleSettings, foreign, networks, visitor
from cellplane.settings import SettingsError

PROXIED = ConsoleSettings(operators=frozenset({"ada"}), proxies=networks(("10.0.0.0/8", "2001:db8::7")))
CERTIFIED = ConsoleSettings(operators=frozenset({"ada"}), certificates=True)
USER = {"x-forwarded-user": ("ada",)}


@pytest.mark.parametrize(
    ("settings", "asked", "name", "why_not"),
    [
        (PROXIED, Asked(address="10.1.2.3", headers=USER), "ada", ""),
        (PROXIED, Asked(address="::ffff:10.1.2.3", headers=USER), "ada", ""),
        (PROXIED, Asked(address="2001:db8::7", headers=USER), "ada", ""),
        (PROXIED, Asked(address="10.1.2.3", headers={"x-forwarded-user": (" ada ",)}), "ada", ""),
        (PROXIED, Asked(address="11.1.2.3", headers=USER), "", "for you: come through the proxy"),
        (PROXIED, Asked(address="", headers=USER), "", "nobody vouches for you"),
        (PROXIED, Asked(address="10.1.2.3"), "", "did not say who you are: x-forwarded-user"),
        (PROXIED, Asked(address="10.1.2.3", headers={"x-forwarded-user": ("eve", "ada")}), "", "there once"),
        (PROXIED, Asked(address="10.1.2.3", headers={"x-forwarded-user": ("",)}), "", "there once"),
        (PROXIED, Asked(address="10.1.2.3", headers={"x-forwarded-user": ("a" * 201,)}), "", "there once"),
        (PROXIED, Asked(address="10.1.2.3", headers={"x-forwarded-user": ("eve",)}), "eve", "eve is no"),
        (PROXIED, Asked(address="11.1.2.3", certificate_name="ada"), "", "nobody vouches for you"),
        (CERTIFIED, Asked(address="11.1.2.3", certificate_name="ada"), "ada", ""),
        (CERTIFIED, Asked(address="11.1.2.3", certificate_name="eve"), "eve", "eve is no --console-operator"),
        (CERTIFIED, Asked(address="11.1.2.3", headers=USER), "", "show a client certificate"),
        (ConsoleSettings(), Asked(address="10.1.2.3", headers=USER), "", "the console is read-only"),
    ],
)  # fmt: skip
def test_who_may_act(settings: ConsoleSettings, asked: Asked, name: str, why_not: str) -> None:
    found = visitor(settings, asked)
    assert found.name == name
    assert why_not in found.why_not
    assert bool(found.why_not) == bool(why_not)


def test_a_star_is_everybody_who_is_vouched_for_and_nobody_else() -> None:
    settings = ConsoleSettings(operators=frozenset({"*"}), proxies=networks(("10.0.0.7",)))
    assert visitor(settings, Asked(address="10.0.0.7", headers={"x-forwarded-user": ("eve",)})).why_not == ""
    assert visitor(settings, Asked(address="10.0.0.8", headers={"x-forwarded-user": ("eve",)})).why_not


@pytest.mark.parametrize("text", ["", "10.0.0.1/8", "proxy.example", "10.0.0.0/33"])
def test_a_network_that_is_none(text: str) -> None:
    with pytest.raises(SettingsError, match=r"--console-proxy: .*write an address or a network"):
        networks((text,))


@pytest.mark.parametrize(
    ("headers", "content_type", "reason"),
    [
        ({"x-cellplane-console": ("1",)}, "application/json", ""),
        ({"x-cellplane-console": ("1",), "sec-fetch-site": ("same-origin",)}, "application/json", ""),
        ({"x-cellplane-console": ("1",)}, "text/plain", "application/json"),
        ({"x-cellplane-console": ("1",)}, "application/x-www-form-urlencoded", "application/json"),
        ({}, "application/json", "x-cellplane-console is missing"),
        ({"x-cellplane-console": ("1",), "sec-fetch-site": ("cross-site",)}, "application/json", "another"),
        ({"x-cellplane-console": ("1",), "sec-fetch-site": ("same-site",)}, "application/json", "another"),
    ],
)  # fmt: skip
def test_what_another_site_could_send(
    headers: Mapping[str, Sequence[str]], content_type: str, reason: str
) -> None:
    assert reason in foreign(headers, content_type)
    assert bool(foreign(headers, content_type)) == bool(reason)
