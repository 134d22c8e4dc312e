"""What is deployed beside the product: rules of Prometheus, by their own unit tests."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).resolve().parent.parent
PROMETHEUS: Final = ROOT / "deploy" / "prometheus"
SUITES: Final = ("alerts_test.yaml", "budgets_test.yaml")


def alerts() -> list[dict[str, Any]]:
    document = yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


@pytest.mark.tools("promtool")
@pytest.mark.parametrize("suite", SUITES)
def test_rules_do_what_their_own_tests_say(suite: str) -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", suite],
        cwd=PROMETHEUS,
        # Each case has a database of its own: half of the time went into collecting the garbage of the last.
        env={**os.environ, "GOGC": "400"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_shown_to_fire_and_not_to_fire() -> None:
    fires: Counter[tuple[str, str]] = Counter()
    quiet: Counter[str] = Counter()
    for suite in SUITES:
        for case in yaml.safe_load((PROMETHEUS / suite).read_text(encoding="utf-8"))["tests"]:
            for one in case["alert_rule_test"]:
                fires.update((one["alertname"], each["exp_labels"]["severity"]) for each in one["exp_alerts"])
                quiet[one["alertname"]] += not one["exp_alerts"]
    for rule in alerts():
        assert fires[rule["alert"], rule["labels"]["severity"]], f"nothing makes {rule['alert']} fire"
        assert quiet[rule["alert"]], f"nothing looks like {rule['alert']} and is none"


def test_each_alert_says_who_is_woken_and_what_it_does_to_whom() -> None:
    for rule in alerts():
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert set(rule["annotations"]) == {"summary", "impact", "runbook"}


def test_compose_loads_the_rules() -> None:
    compose = ROOT / "examples" / "compose"
    told = yaml.safe_load((compose / "prometheus.yml").read_text(encoding="utf-8"))["rule_files"]
    service = yaml.safe_load((compose / "compose.yaml").read_text(encoding="utf-8"))["services"]["prometheus"]
    mounted = dict(volume.split(":")[:2] for volume in service["volumes"])
    ((source, target),) = ((here, there) for here, there in mounted.items() if "deploy" in here)
    assert (compose / source).resolve() == PROMETHEUS
    for path in told:
        assert (PROMETHEUS / Path(path).relative_to(target)).is_file()
