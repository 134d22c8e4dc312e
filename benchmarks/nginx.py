"""An nginx that answers everything, on every address of this machine: what all edges have behind them."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks.datapath_edges import answers
from cellplane.demo.free_port import free_port
from tests.processes import Child

PROGRAM = "/usr/sbin/nginx"


async def nginx(stack: AsyncExitStack, folder: Path) -> int:
    """Start it; give its port."""
    port = free_port()
    place = folder / "nginx"
    place.mkdir()
    config = place / "nginx.conf"
    config.write_text(_config(place, port), encoding="ascii")
    child = Child([PROGRAM, "-c", str(config), "-e", str(place / "error.log")], place / "log")
    stack.push_async_callback(child.stop)
    child.spawn()
    await child.ready(lambda: answers(port))
    return port


def head(place: Path) -> str:
    """Begin a configuration of one process, which a signal ends and whose CPU is all of it."""
    return f"""
daemon off; master_process off; pid {place}/pid; error_log {place}/error.log;
events {{ worker_connections 20000; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
  client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;
  uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
"""


def _config(place: Path, port: int) -> str:
    return f"""{head(place)}
  server {{ listen 0.0.0.0:{port} backlog=4096; location / {{ return 200 "ok\\n"; }} }}
}}
"""
