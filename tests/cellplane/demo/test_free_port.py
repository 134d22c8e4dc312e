from __future__ import annotations

import socket
import subprocess
import sys

from cellplane.demo.free_port import free_port


def in_another_process(preferred: int) -> int:
    code = f"from cellplane.demo.free_port import free_port; print(free_port({preferred}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_free_ports_differ() -> None:
    assert len({free_port() for _ in range(50)}) == 50


def test_a_taken_port_is_not_handed_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert free_port(port) != port


def test_what_another_process_was_given_and_has_not_bound_yet_is_not_handed_out() -> None:
    port = free_port()

    assert in_another_process(port) != port


def test_what_a_process_was_given_is_free_again_when_it_has_ended() -> None:
    port = in_another_process(0)

    assert free_port(port) == port
    assert free_port(port) != port  # ours now, bound or not


def test_an_address_of_ipv6_has_free_ports() -> None:
    port = free_port(host="::1")
    with socket.socket(socket.AF_INET6) as bound:
        bound.bind(("::1", port))
