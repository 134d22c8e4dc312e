from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from topology import forms


@pytest.mark.parametrize("text", ["cell-4", "a", "4", "a" * 63, "x1-y2"])
def test_names(text: str) -> None:
    assert forms.label_problem(text) is None


@pytest.mark.parametrize("text", ["", "Cell-4", "-a", "a-", "a" * 64, "a_b", "cell-4\n", "é"])
def test_no_names(text: str) -> None:
    assert "such as cell-4" in (forms.label_problem(text) or "")


@pytest.mark.parametrize(
    ("text", "good"), [("", True), ("eu-west-1a", True), ("Zone_1.b", True), ("-a", False), ("a b", False)]
)
def test_zones(text: str, good: bool) -> None:
    assert (forms.zone_problem(text) is None) is good


@pytest.mark.parametrize("text", ["cell-4", "a", "a-b-c9", "a" * 64])
def test_session_prefixes(text: str) -> None:
    assert forms.prefix_problem(text) is None


@pytest.mark.parametrize("text", ["", "cell--4", "cell-", "-4", "Cell-4", "a" * 65, "cell_4", "cell-4\n"])
def test_no_session_prefixes(text: str) -> None:
    assert "single inner hyphens" in (forms.prefix_problem(text) or "")


@pytest.mark.parametrize(
    ("text", "required", "word"),
    [
        ("ada", True, None),
        ("", False, None),
        ("Grüße, 世界", True, None),
        ("", True, "empty"),
        ("  ", True, "empty"),
        ("a" * 501, False, "501 characters"),
        ("a\x1b[31m", False, "control characters"),
        ("a\nb", False, "control characters"),
        ("\ud800", False, "control characters"),
    ],
)
def test_free_text(text: str, required: bool, word: str | None) -> None:
    problem = forms.text_problem(text, required=required)
    assert problem is None if word is None else word in (problem or "")


@pytest.mark.parametrize("host", ["10.0.0.1", "::1", "fd00::12", "127.0.0.1"])
def test_ip_literals(host: str) -> None:
    assert forms.is_ip(host)
    assert forms.host_problem(host) is None


@pytest.mark.parametrize(
    "host", ["cell-4", "a.b-c.example.com", "localhost", "4.example.com", "xn--bcher-kva.example"]
)
def test_dns_names(host: str) -> None:
    assert not forms.is_ip(host)
    assert forms.host_problem(host) is None


@pytest.mark.parametrize(
    ("host", "word"),
    [
        ("", "neither an IP address nor a DNS name"),
        ("0.0.0.0", "no single machine"),
        ("::", "no single machine"),
        ("224.0.0.1", "no single machine"),
        ("fe80::1%eth0", "scope"),
        ("[::1]", "without them"),
        ("10.0.0.300", "looks like an IPv4 address"),
        ("10.0.1", "looks like an IPv4 address"),
        ("a_b.example.com", "neither"),
        ("http://a", "neither"),
        ("a:80", "neither"),
        ("a..b", "neither"),
        ("a.", "neither"),
        ("a" * 64, "neither"),
        (".".join(["abcdefgh"] * 29), "neither"),
    ],
)
def test_no_hosts(host: str, word: str) -> None:
    assert word in (forms.host_problem(host) or "")


def test_two_spellings_of_a_host_are_one() -> None:
    assert forms.canonical_host("FD00:0:0::1") == forms.canonical_host("fd00::1") == "fd00::1"
    assert forms.canonical_host("Cell.Example.COM") == "cell.example.com"


@pytest.mark.parametrize(
    "address",
    [
        "cell-4.example.com:443",
        "10.0.0.4:80",
        "[fd00::4]:443",
        "https://cell-4.example.com",
        "wss://kas.example.com/-/kubernetes-agent/",
        "ssh://git.example.com:2222",
    ],
)
def test_addresses(address: str) -> None:
    assert forms.address_problem(address) is None


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("cell-4.example.com", "no port"),
        ("", "no host"),
        (":443", "no host"),
        ("a:0", "port 0"),
        ("a:99999", "no address"),
        ("a:b", "no address"),
        ("http://[::1", "no address"),
        ("ftp://a", "scheme"),
        ("https://user:pw@a", "credentials"),
        ("https://a/?q", "query"),
        ("https://a/#f", "fragment"),
        ("a:80/path", "path but no scheme"),
        ("a b:80", "blanks"),
        ("a_b:80", "neither"),
        ("https://0.0.0.0", "neither"),
        ("a\x00:80", "control characters"),
    ],
)
def test_no_addresses(address: str, word: str) -> None:
    problem = forms.address_problem(address) or ""
    assert word in problem
    assert "write host:port, or a URL" in problem


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00+00:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00.25Z", datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)),
        ("2026-03-01T12:00:00+02:00", None),
        ("2026-03-01 12:00:00Z", None),
        ("2026-02-30T12:00:00Z", None),
        ("2026-03-01T12:00:00", None),
        ("2026-03-01", None),
        ("now", None),
        ("2026-03-01T12:00:00Z\n", None),
    ],
)
def test_times(text: str, moment: datetime | None) -> None:
    assert forms.parse_utc(text) == moment
    assert (forms.utc_problem(text) is None) is (moment is not None)


def test_a_moment_is_written_in_utc() -> None:
    east = datetime(2026, 3, 1, 14, 0, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    assert forms.format_utc(east) == "2026-03-01T12:00:00.000005Z"
    assert forms.parse_utc(forms.format_utc(east)) == east
