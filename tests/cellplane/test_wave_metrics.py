"""What waves export."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from cellplane.wave_metrics import WaveCollector
from cellplane.wave_steps import Outcome
from tests.cellplane.views import cell
from tests.cellplane.waving import QUICK, replica, settings, until, write
from topology.memory import MemoryStore
from xds.resource import CLUSTER


async def test_a_halt_is_a_number_and_so_is_how_a_wave_ended() -> None:
    store = MemoryStore()
    await write(store, cell(1))
    async with replica(store) as a:
        registry = CollectorRegistry()
        registry.register(WaveCollector(a.publisher.state, a.runner, a.fleet))

        def lines() -> list[str]:
            return generate_latest(registry).decode().splitlines()

        assert 'cellplane_wave_engaged{group="edge"} 0.0' in lines()
        await settings(store, QUICK)
        a.connect("canary", canary=True)
        for number in range(10):
            a.connect(f"edge-{number}")
        await until(lambda: 'cellplane_wave_engaged{group="edge"} 1.0' in lines(), "waves in force")
        a.nodes["canary"].rejects = lambda snapshot: "cell-2" in snapshot.of_type(CLUSTER)
        await write(store, cell(2))
        halted = 'cellplane_wave_halted{group="edge"} 1.0'
        await until(lambda: halted in lines(), "a halt")
        for line in (
            'cellplane_waves_total{group="edge",outcome="halted"} 1.0',
            'cellplane_waves_total{group="edge",outcome="sent_to_all"} 0.0',
            'cellplane_wave_going{group="edge"} 0.0',
            'cellplane_wave_waiting{group="edge"} 1.0',
            "cellplane_wave_leader 1.0",
            "cellplane_wave_unwatched 0.0",
        ):
            await until(lambda line=line: line in lines(), line)  # type: ignore[misc]  # bound as it is
        assert a.runner.outcomes == {Outcome.HALTED: 1}
