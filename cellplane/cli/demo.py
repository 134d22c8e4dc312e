"""`cellplane demo`: the stage and the tour, kept up until Ctrl-C or, with --once, for the tour alone."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Final

import click
import uvloop

from cellplane.cli.outcome import Exit
from cellplane.demo.free_port import free_port
from cellplane.demo.ports import Ports
from cellplane.demo.processes import ChildFailed
from cellplane.demo.programs import find_envoy
from cellplane.demo.say import Story
from cellplane.demo.stage import Stage
from cellplane.demo.tour import Tour

_ROOM_BYTES: Final = 200 << 20
"""What etcd and the logs of a demo take, twice over."""


@click.command()
@click.option("--once", is_flag=True, help="Run the tour and end: 0 if every step held.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8080,
    show_default=True,
    help="The edge's port; another one if it is taken.",
)
def demo(once: bool, port: int) -> None:
    """Show the product on this machine: etcd, the control plane, cells and a real Envoy, and a tour that
    checks itself.

    Everything listens on 127.0.0.1, lives in a temporary folder, and is gone when the demo ends.
    """
    raise click.exceptions.Exit(uvloop.run(_demo(once, port)))


async def _demo(once: bool, port: int) -> int:
    story = Story()
    main = asyncio.current_task()
    if main is None:
        raise AssertionError("the demo runs in a task")
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, main.cancel)
    started = time.monotonic()
    try:
        find_envoy()  # before anything is started
        with tempfile.TemporaryDirectory(prefix="cellplane-demo-") as folder:
            _demand_room(folder)
            ports = Ports(edge=free_port(port))
            if ports.edge != port:
                story.note(f"Port {port} is taken; the edge listens on {ports.edge}.")
            async with Stage(Path(folder), ports) as stage:
                await Tour(stage, story).run()
                story.verdict(time.monotonic() - started)
                if not once:
                    await _stay(stage, story)
    except (ChildFailed, OSError) as error:
        story.fail(str(error))
    except asyncio.CancelledError:
        story.note("\nStopped; no process is left behind.")
        return int(Exit.OK) if story.told and not story.failures else 130
    return int(Exit.FAILED if story.failures else Exit.OK)


def _demand_room(folder: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < _ROOM_BYTES:
        raise ChildFailed(
            f"{free >> 20} MB are free in {tempfile.gettempdir()}, and it needs {_ROOM_BYTES >> 20}; "
            "set TMPDIR to a folder with more."
        )


async def _stay(stage: Stage, story: Story) -> None:
    story.note(
        f"""
The demo stays up until Ctrl-C.

  edge            {stage.edge_url}
  console         {stage.status_url}/
  status          {stage.status_url}/readyz   /v1/fleet   /metrics
  Envoy's admin   {stage.admin_url}
  topology        {stage.ports.topology_address}   (gRPC)
  etcd            {stage.etcd_endpoint}

Try, in another terminal:

  export CELLPLANE_TOPOLOGY={stage.ports.topology_address} CELLPLANE_CONTROL_PLANE={stage.status_url}
  {stage.command} cells list
  curl -i -H 'cookie: _gitlab_session=cell-3-abc' {stage.edge_url}/
  {stage.command} cells quarantine 3 --yes --reason 'trying it'
"""
    )
    raise ChildFailed(f"a process ended by itself: {await stage.first_death(but='control-plane')}")
