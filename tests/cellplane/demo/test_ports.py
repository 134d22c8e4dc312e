"""Ports are free ones unless named, and the addresses follow."""

from __future__ import annotations

from dataclasses import astuple

from cellplane.demo.ports import Ports


def test_each_has_its_own_port() -> None:
    ports = Ports(edge=8080)

    assert ports.edge == 8080
    assert len(set(astuple(ports))) == 9


def test_addresses() -> None:
    ports = Ports(edge=1, etcd=2, etcd_peer=3, xds=4, status=5, admin=6)

    assert (ports.edge_url, ports.status_url) == ("http://127.0.0.1:1", "http://127.0.0.1:5")
    assert (ports.admin_url, ports.etcd_endpoint) == ("http://127.0.0.1:6", "127.0.0.1:2")
