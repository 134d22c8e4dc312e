"""A cell as GitLab's clients see it: id, address, session prefix, sequences.

The classify, cell and claim services answer with it. What else is known of a cell is in our own API. Stands
at the end of `Request -> ClassificationKey -> Decision`.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from pb.gitlab.cells.topology_service import cell_info_pb2
from topology.model import Cell, CellState


def address_of(cell: Cell) -> str:
    """Give where the cell's web traffic goes, without scheme; its first endpoint where no address is said."""
    web = cell.addresses.get("web", "")
    if web:
        return urlsplit(web).netloc if "://" in web else web
    in_service = [each for each in cell.endpoints if each.weight] or list(cell.endpoints)
    if not in_service:
        return ""
    host, port = in_service[0].host, in_service[0].port
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_listed(cell: Cell) -> bool:
    """Tell whether clients are told of the cell: a decommissioned one is history."""
    return cell.state is not CellState.DECOMMISSIONED


def cell_info(cell: Cell) -> cell_info_pb2.CellInfo:
    """Spell a cell."""
    ranges = [
        cell_info_pb2.SequenceRange(minval=each.minval, maxval=each.maxval) for each in cell.sequence_ranges
    ]
    return cell_info_pb2.CellInfo(
        id=cell.id,
        address=address_of(cell),
        session_prefix=cell.session_prefix,
        sequence_range=ranges[0] if ranges else None,
        sequence_ranges=ranges,
    )
