"""What is well with an installation and what is not: findings made of what `doctor` gathered, and what to do.

Each function looks at one thing that was asked of somebody; none asks anybody. Pure: values in, findings out,
beside both lines of the program.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

SKEW_SECONDS: Final = 2.0
"""Clocks that differ by more than this make times in the history and the ages of leases wrong."""
SOON: Final = timedelta(days=7)
LATER: Final = timedelta(days=30)
SLOW_SECONDS: Final = 0.5
SPACE: Final = 1_600_000_000
"""Four fifths of the quota that etcd has if nobody sets another."""


class Mark(StrEnum):
    """How a finding is to be taken. Only BAD makes the command fail."""

    OK = "ok"
    NOTE = "note"
    BAD = "BAD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at; `remedy` says what to do where it is not well."""

    check: str
    mark: Mark
    said: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdMember:
    """What one endpoint of etcd told; `problem` where it told nothing."""

    endpoint: str
    version: str = ""
    has_leader: bool = True
    size: int = 0
    seconds: float = 0.0
    errors: tuple[str, ...] = ()
    problem: str = ""


def of_member(member: EtcdMember, loses_data: bool) -> Iterator[Finding]:
    """Look at one member of etcd."""
    check = f"etcd {member.endpoint}"
    if member.problem:
        remedy = "start it, or name the right endpoint with --etcd; see runbooks/EtcdNoLeader.md"
        yield Finding(check=check, mark=Mark.BAD, said=member.problem, remedy=remedy)
        return
    took = f"{member.version or 'version unknown'}, answered in {member.seconds * 1000:.0f} ms"
    yield Finding(
        check=check,
        mark=Mark.NOTE if member.seconds > SLOW_SECONDS else Mark.OK,
        said=took,
        remedy="look at its disk and the way there" if member.seconds > SLOW_SECONDS else "",
    )
    if not member.has_leader or member.errors:
        said = "; ".join(member.errors) or "has no leader"
        yield Finding(check=check, mark=Mark.BAD, said=said, remedy="see runbooks/EtcdNoLeader.md")
    if loses_data:
        said = f"{member.version} can lose committed data when it is killed"
        yield Finding(check=check, mark=Mark.NOTE, said=said, remedy="use 3.5.3 or later")
    if member.size > SPACE:
        said = f"{member.size / 1e9:.1f} GB are used, of 2.1 GB if nobody set another quota"
        yield Finding(check=check, mark=Mark.NOTE, said=said, remedy="see runbooks/EtcdSpaceLow.md")


def of_clock(whose: str, ahead_seconds: float) -> Finding:
    """Compare a clock with ours."""
    if abs(ahead_seconds) <= SKEW_SECONDS:
        return Finding(check=f"clock of {whose}", mark=Mark.OK, said=f"within {SKEW_SECONDS:.0f} s of ours")
    way = "ahead of" if ahead_seconds > 0 else "behind"
    said = f"{abs(ahead_seconds):.1f} s {way} ours"
    remedy = "bring both to one time (chrony, systemd-timesyncd)"
    return Finding(check=f"clock of {whose}", mark=Mark.BAD, said=said, remedy=remedy)


def of_certificate(what: str, ends: datetime | None, now: datetime) -> Finding:
    """Look at when a certificate ends; None: it cannot be read."""
    check, remedy = f"certificate for {what}", "see runbooks/RotateCertificates.md"
    if ends is None:
        return Finding(check=check, mark=Mark.BAD, said="cannot be read", remedy=remedy)
    left = ends - now
    said = f"ends {ends:%Y-%m-%d %H:%M} UTC, in {left.days} days"
    if left < timedelta():
        return Finding(check=check, mark=Mark.BAD, said=f"ended {ends:%Y-%m-%d %H:%M} UTC", remedy=remedy)
    if left < SOON:
        return Finding(check=check, mark=Mark.BAD, said=said, remedy=remedy)
    if left < LATER:
        return Finding(check=check, mark=Mark.NOTE, said=said, remedy=remedy)
    return Finding(check=check, mark=Mark.OK, said=said)


def certificates_of(metrics: str) -> dict[str, float]:
    """Give when each certificate of a control plane ends, in Unix seconds, by its use."""
    return {
        sample.labels["use"]: sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == "cellplane_certificate_expires_timestamp_seconds"
    }


def of_readiness(readiness: Mapping[str, Any]) -> Iterator[Finding]:
    """Look at what /readyz says."""
    if readiness.get("ready"):
        said = f"ready at revision {readiness.get('revision')}"
        yield Finding(check="control plane", mark=Mark.OK, said=said)
    else:
        remedy = "see runbooks/ControlPlaneDown.md"
        said = f"refuses Envoys; etcd: {readiness.get('etcd')}"
        yield Finding(check="control plane", mark=Mark.BAD, said=said, remedy=remedy)
    for name, mark, runbook in (
        ("stale", Mark.BAD, "TopologyViewStale"),
        ("held", Mark.BAD, "PushHeld"),
        ("frozen", Mark.NOTE, "PushesFrozen"),
        ("refused", Mark.BAD, "XdsSnapshotRefused"),
        ("rules_problem", Mark.BAD, "RulesRefused"),
        ("save_problem", Mark.NOTE, "ControlPlaneDown"),
        ("report_problem", Mark.NOTE, "TopologyViewStale"),
    ):
        if told := readiness.get(name):
            said = f"{name}: {told if told is not True else readiness.get('etcd')}"
            yield Finding(check="control plane", mark=mark, said=said, remedy=f"see runbooks/{runbook}.md")


def of_fleet(fleet: Mapping[str, Any], now: float) -> Iterator[Finding]:
    """Look at how far replicas and Envoys stand apart."""
    nodes, replicas = fleet["nodes"], fleet["replicas"]
    rejecting = [node["id"] for node in nodes if node["state"] == "REJECTED"]
    behind = [node["id"] for node in nodes if node["settled_revision"] < node["target_revision"]]
    said = f"Envoys: {len(nodes)}; control planes: {len(replicas)}"
    yield Finding(check="fleet", mark=Mark.OK, said=said)
    if fleet.get("problem"):
        remedy = "see runbooks/TopologyViewStale.md"
        yield Finding(check="fleet", mark=Mark.NOTE, said=str(fleet["problem"]), remedy=remedy)
    for mark, found, words, runbook in (
        (Mark.BAD, rejecting, "reject what they were sent", "XdsConfigRejected"),
        (Mark.NOTE, behind, "lack what is published", "XdsFleetBehind"),
    ):
        if found:
            said = f"{len(found)} {words}: {_some(found)}"
            yield Finding(check="fleet", mark=mark, said=said, remedy=f"see runbooks/{runbook}.md")
    versions = {str(node.get("envoy") or "unknown") for node in nodes}
    if len(versions) > 1:
        said = f"Envoys are of several versions: {_some(sorted(versions))}"
        yield Finding(check="fleet", mark=Mark.NOTE, said=said, remedy="see runbooks/UpgradeEnvoy.md")
    newest = int(fleet["revision"])
    for replica in replicas:
        late = newest - int(replica["revision"] or 0)
        if late > 0:
            said = f"is {late} revisions behind the newest"
            remedy = "see runbooks/XdsPublishStalled.md"
            yield Finding(check=f"replica {replica['replica']}", mark=Mark.NOTE, said=said, remedy=remedy)
        told = replica.get("written_at")
        if told is not None and told - now > SKEW_SECONDS:
            yield of_clock(f"replica {replica['replica']}", told - now)


def fails(findings: Iterable[Finding]) -> bool:
    """Say whether anything is not well."""
    return any(finding.mark is Mark.BAD for finding in findings)


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
