"""When certificates in files end: for the metric, so that somebody is told in time, and for `doctor`.

Read anew whenever somebody asks, for files are replaced while we run. It never reads a key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from cryptography import x509
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


def ends_at(path: Path) -> datetime:
    """Give when the first certificate of a PEM file ends. Raise OSError or ValueError where there is none."""
    return min(each.not_valid_after_utc for each in x509.load_pem_x509_certificates(path.read_bytes()))


class CertificatesCollector(Collector):
    """Export when each certificate ends, by what it is used for. One that cannot be read has ended."""

    def __init__(self, files: Mapping[str, Path | None]) -> None:
        self._files = {use: path for use, path in files.items() if path is not None}

    def collect(self) -> Iterator[Metric]:
        """Yield the metric of this moment."""
        family = GaugeMetricFamily(
            "cellplane_certificate_expires_timestamp_seconds",
            "When a certificate of ours ends; 0 where its file cannot be read.",
            labels=["use"],
        )
        for use, path in self._files.items():
            try:
                family.add_metric([use], ends_at(path).timestamp())
            except (OSError, ValueError):
                family.add_metric([use], 0)
        yield family
