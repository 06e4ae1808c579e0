"""Say which stored cells cannot be read."""

from __future__ import annotations

from collections.abc import Sequence

from zslbench.cells.store import Unreadable
from zslbench.tables.text import visible

RUNS_AGAIN = "the command that made it runs it again"
_SHOWN = 5


def unreadable_text(cells: Sequence[Unreadable], then: str = RUNS_AGAIN) -> str:
    """Return the sentence that says which stored cells cannot be read, why, and what happens then.

    Examples
    --------
    >>> print(unreadable_text([Unreadable("0a1b", "result.json is missing")], "it runs again"))
    1 cell cannot be read: 0a1b, result.json is missing (it runs again; 'zslbench results verify' tells more)
    """
    shown = "; ".join(visible(f"{cell.id}, {cell.reason}") for cell in cells[:_SHOWN])
    more = f"; and {len(cells) - _SHOWN:,} more" if len(cells) > _SHOWN else ""
    count = "1 cell" if len(cells) == 1 else f"{len(cells):,} cells"
    return f"{count} cannot be read: {shown}{more} ({then}; 'zslbench results verify' tells more)"
