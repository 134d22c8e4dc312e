from __future__ import annotations

from click.testing import CliRunner

from cellplane.cli.ranges import CELL_ID, REVISION
from cellplane.cli.root import cellplane
from pb.cellplane.topology.v1 import cells_pb2


def test_whatever_is_taken_a_message_holds() -> None:
    cells_pb2.SetCellWeightRequest(id=int(CELL_ID.max or 0), expected_revision=int(REVISION.max or 0))


def test_what_no_message_holds_is_bad_usage_before_anybody_is_asked() -> None:
    for arguments in (("cells", "get", str(2**31)), ("explain", "GET", "/", "--at", str(2**63))):
        result = CliRunner().invoke(cellplane, arguments)
        assert (result.exit_code, "is not in the range" in result.output) == (2, True)
