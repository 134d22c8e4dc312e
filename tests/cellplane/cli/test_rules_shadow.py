"""`cellplane rules shadow`: a candidate is written if it holds, and what servers count is summed up."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from cellplane.cli.outcome import Exit

Run = Callable[..., Result]
PAGE = {
    "candidate": {"by": "ada"},
    "percent": 5,
    "requests": [{"live_rule": "path", "candidate_rule": "new", "outcome": "elsewhere", "count": 3}],
    "elsewhere": [{"method": "GET", "path": "/acme", "live": "path: cell-2", "candidate": "new: cell-3"}],
}


@pytest.fixture
def server() -> Iterator[str]:
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            page = {**PAGE, "candidate": None} if self.path.startswith("/none") else PAGE
            self.wfile.write(json.dumps(page).encode())

        def log_message(self, *_: object) -> None:
            pass

    serving = http.server.HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    serving.server_close()


def test_a_candidate_is_tried_and_is_not_in_force(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("schema: 1\nrules: [{name: default, type: default}]")
    assert "would" in run("rules", "shadow", "start", str(path), "--dry-run").stdout
    run("rules", "shadow", "start", str(path), "--percent", "5", "--reason", "to see")
    assert "built in" in run("rules", "show").stdout
    assert "No ruleset" in run("rules", "history").stdout
    run("rules", "shadow", "stop")
    assert "nothing is to be deleted" in run("rules", "shadow", "stop", expect=Exit.REFUSED).stderr

    path.write_text("schema: 1\nrules: [{name: default, type: nonsense}]")
    assert "rules[0].type" in run("rules", "shadow", "start", str(path), expect=Exit.REFUSED).stderr
    assert run("rules", "shadow", "start", str(path), "--percent", "0", expect=Exit.USAGE).stderr


def test_what_several_servers_count_is_one_sum(run: Run, server: str) -> None:
    told = ("rules", "shadow", "show", "--ext-proc-status", server, "--ext-proc-status", server)
    shown = run(*told).stdout
    assert "elsewhere" in shown
    assert " 6" in shown
    assert "/acme" in shown
    nobody = run("rules", "shadow", "show", "--ext-proc-status", f"{server}/none").stdout
    assert nobody == "No ruleset is tried: `cellplane rules shadow start` begins.\n"
    nowhere = run(
        "rules", "shadow", "show", "--ext-proc-status", "http://127.0.0.1:1", expect=Exit.UNAVAILABLE
    )
    assert "no ext_proc server answers at http://127.0.0.1:1" in nowhere.stderr
