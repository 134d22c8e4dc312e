"""When certificates end."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from cellplane.certificates import CertificatesCollector, ends_at

ENDS = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


def test_the_first_to_end_counts(tmp_path: Path) -> None:
    authority = trustme.CA()
    path = tmp_path / "chain.pem"
    authority.issue_cert("a", not_after=ENDS).cert_chain_pems[0].write_to_path(str(path))
    authority.cert_pem.write_to_path(str(path), append=True)
    assert ends_at(path) == ENDS
    (family,) = CertificatesCollector({"xds": path, "status": None}).collect()
    assert [(sample.labels, sample.value) for sample in family.samples] == [
        ({"use": "xds"}, ENDS.timestamp())
    ]


@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_what_cannot_be_read_has_ended(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "some.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((OSError, ValueError)):
        ends_at(path)
    (family,) = CertificatesCollector({"xds": path}).collect()
    assert [sample.value for sample in family.samples] == [0.0]
