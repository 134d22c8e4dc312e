"""The checks that no tool does: length, name, docstring, test, place of modules; ADR index; fresh `pb/`."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

from cellplane.environment import stale_pb

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("topology", "xds", "envoy", "cellplane")
LONGEST = 250
# Longer ones up to 400 lines, each with the reason why it is one thing.
LONGER: dict[str, str] = {}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "manager", "core", "misc"}
# Modules whose test lies elsewhere, and where.
TESTED_ELSEWHERE: dict[str, str] = {
    "cellplane/cli/asking.py": "tests/cellplane/cli/test_fleet.py",
    "cellplane/cli/cells_add.py": "tests/cellplane/cli/test_cells.py",
    "cellplane/cli/cells_update.py": "tests/cellplane/cli/test_cells.py",
    "cellplane/cli/changes.py": "tests/cellplane/cli/test_cells.py",
    "cellplane/cli/demo.py": "tests/integration/test_demo.py",
    "cellplane/cli/log_options.py": "tests/cellplane/test_json_lines.py",
    "cellplane/cli/pushes.py": "tests/integration/test_control_plane.py",
    "cellplane/cli/pushes_change.py": "tests/cellplane/cli/test_pushes.py",
    "cellplane/control_plane.py": "tests/integration/test_control_plane.py",
    "cellplane/demo/claims.py": "tests/integration/test_demo.py",
    "cellplane/demo/moves.py": "tests/integration/test_demo.py",
    "cellplane/demo/stage.py": "tests/integration/test_control_plane.py",
    "cellplane/demo/stub_cell.py": "tests/cellplane/demo/test_traffic.py",
    "cellplane/demo/topology_client.py": "tests/cellplane/demo/test_changes.py",
    "cellplane/demo/tour.py": "tests/integration/test_demo.py",
    "cellplane/fleet_node.py": "tests/cellplane/test_fleet_record.py",
    "cellplane/histograms.py": "tests/cellplane/test_topology_metrics.py",
    "cellplane/operation_metrics.py": "tests/cellplane/test_operation_pages.py",
    "cellplane/operations.py": "tests/cellplane/test_operation_pages.py",
    "cellplane/pages.py": "tests/cellplane/test_status.py",
    "cellplane/push_change.py": "tests/cellplane/test_push_diff.py",
    "cellplane/moves.py": "tests/faults/test_moves_killed.py",
    "cellplane/cli/transitions.py": "tests/cellplane/cli/test_cells.py",
    "cellplane/cli/zones.py": "tests/cellplane/cli/test_cells_drain.py",
    "cellplane/cli/moves_orders.py": "tests/cellplane/cli/test_moves.py",
    "cellplane/cli/moves_report.py": "tests/cellplane/cli/test_moves.py",
    "cellplane/metrics.py": "tests/cellplane/test_status.py",
    "cellplane/delivery.py": "tests/cellplane/test_wave_runner.py",
    "cellplane/publisher_state.py": "tests/cellplane/test_publisher.py",
    "cellplane/sender.py": "tests/cellplane/test_publisher.py",
    "cellplane/translator.py": "tests/cellplane/test_publisher.py",
    "cellplane/wave_story.py": "tests/cellplane/test_wave_runner.py",
    "cellplane/wave_watch.py": "tests/cellplane/test_wave_runner.py",
    "topology/claims/beginning.py": "tests/contract/test_claim_store.py",
    "topology/claims/transferring.py": "tests/contract/test_transfers.py",
    "envoy/translated.py": "tests/envoy/test_translate.py",
    "topology/client/calls.py": "tests/topology/client/test_steps.py",
    "topology/client/move_steps.py": "tests/topology/client/test_moves.py",
    "topology/leader.py": "tests/contract/test_leader.py",
    "topology/moves/book.py": "tests/topology/moves/test_runner.py",
    "topology/moves/crossing.py": "tests/topology/moves/test_runner.py",
    "topology/moves/freezing.py": "tests/topology/moves/test_runner.py",
    "topology/moves/model.py": "tests/topology/moves/test_machine.py",
    "topology/moves/works.py": "tests/topology/moves/test_runner.py",
    "topology/placement_records.py": "tests/contract/test_placements.py",
    "topology/placement_txns.py": "tests/contract/test_placements.py",
    "topology/placements.py": "tests/contract/test_placements.py",
    "topology/service/announcements.py": "tests/topology/service/test_departure_gate.py",
    "topology/service/move_planner.py": "tests/topology/service/test_moves_service.py",
    "topology/service/moves_wire.py": "tests/topology/service/test_moves_service.py",
    "topology/service/owners_in_cell.py": "tests/topology/service/test_transfer_service.py",
    "topology/service/placement_follower.py": "tests/topology/service/test_placement_service.py",
    "topology/service/server_options.py": "tests/topology/service/test_server.py",
    "topology/service/open_watches.py": "tests/topology/service/test_watches.py",
}

MODULES = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
ADRS = sorted(path for path in (ROOT / "docs" / "adr").glob("*.md") if path.name != "README.md")


def does_something(node: ast.AST) -> bool:
    """Tell whether code does more than import and declare classes without behaviour, like errors."""
    match node:
        case ast.Module(body=body) | ast.ClassDef(body=body):
            return any(does_something(part) for part in body)
        case ast.FunctionDef(body=body) | ast.AsyncFunctionDef(body=body):
            return any(not is_constant(part) for part in body)
        case ast.Assign(targets=[ast.Name(id="__all__" | "__slots__")]):
            return False
        case _:
            return not (
                is_constant(node) or isinstance(node, ast.Import | ast.ImportFrom | ast.AnnAssign | ast.Pass)
            )


def is_constant(node: ast.AST) -> bool:
    """Tell whether a statement is a docstring or an ellipsis."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def needs_test(tree: ast.Module) -> bool:
    # At the top of a module an annotated name is data, a table perhaps; in a class it is a field.
    return does_something(tree) or any(isinstance(part, ast.AnnAssign) for part in tree.body)


@cache
def tree_of(module: Path) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


def dotted(module: Path) -> str:
    return ".".join(module.with_suffix("").parts).removesuffix(".__init__")


def contract_modules(name: str) -> set[str]:
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = configuration["tool"]["importlinter"]["contracts"]
    (contract,) = (contract for contract in contracts if contract["name"].startswith(name))
    return set(contract["source_modules"])


# One test over all modules, which names every culprit: a test for each would be a fifth of the whole suite.
def test_a_module_is_short() -> None:
    found = {module: len((ROOT / module).read_text(encoding="utf-8").splitlines()) for module in MODULES}
    too_long = {
        str(module): lines
        for module, lines in found.items()
        if lines > (400 if str(module) in LONGER else LONGEST)
    }
    assert not too_long, f"more lines than are allowed, divide them: {too_long}"


def test_a_module_says_what_it_holds() -> None:
    docstrings = {str(module): ast.get_docstring(tree_of(module)) for module in MODULES}
    silent = [module for module, docstring in docstrings.items() if not docstring]
    assert not silent, f"no docstring: {silent}"
    # A drawing or a table is indented, and does not count.
    prose = {
        module: [line for line in (docstring or "").splitlines() if line.strip() and not line.startswith(" ")]
        for module, docstring in docstrings.items()
    }
    essays = {module: len(lines) for module, lines in prose.items() if len(lines) > 8}
    assert not essays, f"a docstring of so many lines is an essay; put it under docs/: {essays}"


def test_a_module_is_named_after_what_it_holds() -> None:
    misnamed = [str(module) for module in MODULES if module.stem in FORBIDDEN_NAMES]
    assert not misnamed, f"name them after what they hold: {misnamed}"


def test_a_module_has_its_test() -> None:
    missing = {}
    for module in (module for module in MODULES if needs_test(tree_of(module))):
        name = module.parent.name if module.name == "__init__.py" else module.stem.strip("_")
        test = TESTED_ELSEWHERE.get(str(module), f"tests/{module.parent}/test_{name}.py")
        if not (ROOT / test).exists():
            missing[str(module)] = test
    assert not missing, f"modules without their test: {missing}"


def test_no_exception_of_this_file_is_left_over() -> None:
    known = {str(module) for module in MODULES}
    assert (LONGER.keys() | TESTED_ELSEWHERE.keys()) <= known


def test_every_module_has_its_place() -> None:
    placed = contract_modules("The pure core") | contract_modules("The shells")
    modules = {dotted(module) for module in MODULES if module.parts[0] != "cellplane"}
    homeless = sorted(modules - placed)
    assert not homeless, (
        f"{', '.join(homeless)}: place each in the contract of the pure core or of the shells"
    )
    both = contract_modules("The pure core") & contract_modules("The shells")
    assert not both, f"{', '.join(sorted(both))}: pure or a shell, not both"


def test_packages_are_typed() -> None:
    for package in PACKAGES:
        assert (ROOT / package / "py.typed").exists(), f"{package}/py.typed is missing"


def test_adr_index_lists_every_adr() -> None:
    assert ADRS, "there are no ADRs in docs/adr"
    index = (ROOT / "docs" / "adr" / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\((?:\./)?([^)#/]+\.md)\)", index))
    assert linked == {path.name for path in ADRS}


@pytest.mark.parametrize("adr", ADRS, ids=lambda path: path.stem)
def test_an_adr_has_number_status_and_confirmation(adr: Path) -> None:
    number = re.match(r"(\d{4})-[a-z0-9-]+$", adr.stem)
    assert number, f"{adr.name}: call it NNNN-the-decision-as-a-sentence.md"
    text = adr.read_text(encoding="utf-8")
    assert re.search(r"^status: (proposed|accepted|rejected|superseded by \d{4})$", text, re.MULTILINE)
    assert f"# {number[1]}. " in text
    for heading in ("Context", "Decision", "Consequences", "Confirmation"):
        assert re.search(rf"^## {heading}", text, re.MULTILINE), f"{adr.name} has no {heading}"


def test_adr_numbers_are_unique() -> None:
    numbers = [path.name[:4] for path in ADRS]
    assert len(numbers) == len(set(numbers))


def test_pb_is_fresh() -> None:
    assert stale_pb(ROOT) is None
