"""Git over HTTP through the edge: the real `git` clones and pushes, `git http-backend` serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.protocols.cells import counted, edge_of
from tests.protocols.git_cell import SETTINGS, bare_repository, git_cell
from tests.protocols.programs import memory_peak_kib, run_program
from tests.protocols.streams import noise

BIG = 16 << 20
AUTHOR = {
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@gitlab.test",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@gitlab.test",
}


async def git(*arguments: str) -> str:
    return await run_program("git", *arguments, environment={**SETTINGS, **AUTHOR})


@pytest.mark.tools("git")
async def test_a_clone_and_a_big_push_reach_their_cell_through_flat_memory(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for home, name in ((one, "acme"), (two, "globex")):
        await bare_repository(home / name / "web.git")
    async with edge_of(tmp_path, git_cell(one), git_cell(two)) as (edge, _):
        url = f"http://127.0.0.1:{edge.port}/globex/web.git"
        work = str(tmp_path / "work")
        await git("clone", "--quiet", url, work)
        (tmp_path / "work" / "big").write_bytes(noise(BIG))
        await git("-C", work, "checkout", "-q", "-B", "main")
        await git("-C", work, "add", "big")
        await git("-C", work, "commit", "--quiet", "-m", "big")
        before = memory_peak_kib(edge.envoy.pid)
        await git("-C", work, "push", "--quiet", "origin", "main")
        commit = await git("-C", work, "rev-parse", "HEAD")
        assert await git("-C", str(two / "globex" / "web.git"), "rev-parse", "main") == commit
        again = str(tmp_path / "again")
        await git("clone", "--quiet", url, again)
        assert (tmp_path / "again" / "big").read_bytes() == (tmp_path / "work" / "big").read_bytes()
        assert (memory_peak_kib(edge.envoy.pid) - before) << 10 < BIG // 4
        assert await git("ls-remote", f"http://127.0.0.1:{edge.port}/acme/web.git") == ""
        # The first question of each of the four is a page. What follows is not: lists of what there is, a
        # probe before the push, the packs.
        classes = await counted(edge)
        assert (set(classes), classes["other"]) == ({"git-http", "other"}, 4)
        assert classes["git-http"] >= 4
        assert await edge.envoy.stat("cluster.cell-2.upstream_rq_retry") == 0
