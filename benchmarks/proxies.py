"""What people use today for the same lookup: the first segment of a path to the cell that owns it.

An nginx `map`, an HAProxy map file, and OpenResty's way, a cache in Lua in front of a dictionary; each with
one worker, all names in memory, and each beside itself with one static route.

    make bench NAME=proxies                     # 5 rounds, 10 and 1,000 cells

Wants nginx with its Lua module (Debian's libnginx-mod-http-lua), haproxy and wrk.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from benchmarks.datapath_edges import Target, answers, host_of, owner_of
from benchmarks.datapath_ways import NAMES, Mix
from benchmarks.nginx import PROGRAM, head, nginx
from benchmarks.wrk import Run, wrk
from cellplane.demo.free_port import free_port
from tests.processes import Child

CELLS = (10, 1000)
MODULES = Path("/usr/lib/nginx/modules")
_LUA = """
  lua_shared_dict owners 64m;
  lua_package_path '/usr/share/lua/5.1/?.lua;;';
  init_by_lua_block {
    owners = ngx.shared.owners
    for line in io.lines('%s') do
      local name, cell = string.match(line, '^(%%S+) (%%S+)$')
      owners:set(name, cell)
    end
    remembered = require('resty.lrucache').new(50000)
  }
"""
_LOOK = """
      set_by_lua_block $cell {
        local name = string.match(ngx.var.uri, '^/([^/]+)')
        if not name then return 'cell_1' end
        local cell = remembered:get(name)
        if not cell then
          cell = owners:get(name) or 'cell_1'
          remembered:set(name, cell, 60)
        end
        return cell
      }
"""


class Others:
    """Starts them, each with so many cells at one upstream."""

    def __init__(self, stack: AsyncExitStack, folder: Path, cells: int, upstream: int) -> None:
        self._stack = stack
        self._folder = folder
        self._cells = cells
        self._upstream = upstream
        self._list = folder / "owners.txt"
        pairs = ((name, owner_of(at, cells)) for at, name in enumerate(NAMES))
        self._list.write_text("".join(f"{name} cell_{cell}\n" for name, cell in pairs), encoding="ascii")

    async def all(self) -> dict[str, tuple[Target, Target]]:
        """Start all: each one plain, and with the lookup."""
        plain_nginx = await self._nginx("nginx-plain", "", "set $cell cell_1;")
        table = self._folder / "owners.map"
        lines = self._list.read_text(encoding="ascii").splitlines()
        table.write_text("".join(f"{line};\n" for line in lines), encoding="ascii")
        map_ = f"""
  map_hash_max_size 262144; map_hash_bucket_size 128;
  map $uri $name {{ ~^/(?<first>[^/]+) $first; }}
  map $name $cell {{ default cell_1; include {table}; }}
"""
        return {
            "nginx, map": (plain_nginx, await self._nginx("nginx-map", map_, "")),
            "nginx, Lua as in OpenResty": (
                plain_nginx,
                await self._nginx("nginx-lua", _LUA % self._list, _LOOK),
            ),
            "HAProxy, map file": (
                await self._haproxy("haproxy-plain", "use_backend cell_1"),
                await self._haproxy(
                    "haproxy-map", f"use_backend %[path,field(2,/),map_str({self._list},cell_1)]"
                ),
            ),
        }

    async def _nginx(self, name: str, top: str, look: str) -> Target:
        port, place = free_port(), self._folder / name
        place.mkdir()
        modules = ("ndk_http_module.so", "ngx_http_lua_module.so")
        loads = "".join(f"load_module {MODULES / module};\n" for module in modules)
        upstreams = "".join(
            f"  upstream cell_{cell} {{ server {host_of(cell)}:{self._upstream}; keepalive 32; "
            "keepalive_requests 1000000000; }\n"
            for cell in range(1, self._cells + 1)
        )
        text = f"""{loads if "lua" in look else ""}{head(place)}
{upstreams}{top}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      {look}
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://$cell;
    }}
  }}
}}
"""
        config = place / "nginx.conf"
        config.write_text(text, encoding="ascii")
        return await self._start([PROGRAM, "-c", str(config), "-e", str(place / "error.log")], name, port)

    async def _haproxy(self, name: str, choose: str) -> Target:
        port, config = free_port(), self._folder / f"{name}.cfg"
        backends = "".join(
            f"backend cell_{cell}\n  http-reuse always\n  server one {host_of(cell)}:{self._upstream}\n"
            for cell in range(1, self._cells + 1)
        )
        text = f"""
global
  nbthread 1
  maxconn 2000
defaults
  mode http
  timeout connect 1s
  timeout client 1h
  timeout server 1h
frontend edge
  bind 127.0.0.1:{port}
  {choose}
{backends}"""
        config.write_text(text, encoding="ascii")
        return await self._start(["/usr/sbin/haproxy", "-db", "-f", str(config)], name, port)

    async def _start(self, command: list[str], name: str, port: int) -> Target:
        child = Child(command, self._folder / f"{name}.log")
        self._stack.push_async_callback(child.stop)
        child.spawn()
        await child.ready(lambda: answers(port), within=60)
        return Target(port, (child.pid,))


async def measure(options: argparse.Namespace) -> None:
    """Measure and print the table."""
    print("| lookup by | cells | plain → with it | ratio |\n|---|---|---|---|", flush=True)
    for cells in options.cells:
        with tempfile.TemporaryDirectory() as name:
            async with AsyncExitStack() as stack:
                folder = Path(name)
                folder.chmod(0o755)  # noqa: ASYNC240  for nginx, whose worker is nobody; nobody else waits
                upstream = await nginx(stack, folder)
                mix = Mix(cells)
                pairs = await Others(stack, folder, cells, upstream).all()
                found: dict[str, list[tuple[Run, Run]]] = {}
                for _ in range(options.rounds):
                    for title, targets in pairs.items():
                        requests = mix.zipf(1)
                        runs = [
                            await wrk(each.port, requests, folder, pids=each.pids, connections=16, seconds=2)
                            for each in targets
                        ]
                        if any(run.failed for run in runs):
                            raise RuntimeError(f"{title}: {runs}")
                        found.setdefault(title, []).append((runs[0], runs[1]))
                for title, both in found.items():
                    plain, ours = (statistics.median(pair[at].cpu for pair in both) for at in (0, 1))
                    ratio = statistics.median(one.cpu / other.cpu for one, other in both)
                    print(f"| {title} | {cells:,} | {plain:.0f} → {ours:.0f} µs | {ratio:.2f} |", flush=True)


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cells", type=int, nargs="+", default=list(CELLS))
    uvloop.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
