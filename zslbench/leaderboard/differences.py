"""Why two figures differ: what is known to differ between a published figure and a measured row, and what it does.

An effect is how much the measured figure moves if one thing is done as in the source. It is taken from the row's own
counts, or from another row of the same results folder that differs in nothing else. Effects need not add up.
"""

from __future__ import annotations

from dataclasses import dataclass

from zslbench.cells.rows import Row
from zslbench.ledger.published import Published

NOT_HERE = "not measurable here"
METHOD, SPREAD = "method", "± is over"  # these explain nothing of the figure itself


@dataclass(frozen=True)
class Difference:
    """One thing that differs.

    Attributes
    ----------
    what, published, measured
        What differs, and how it is in the source and in the row.
    points
        How much the measured figure moves, in points of per cent, if it is done as in the source; ``None`` if unknown.
    how
        What the effect was measured on, or why it was not.

    Examples
    --------
    >>> Difference("figure", "top1 per class", "top1", -0.8, "the same cells").points
    -0.8
    """

    what: str
    published: str
    measured: str
    points: float | None = None
    how: str = NOT_HERE


@dataclass(frozen=True)
class Explanation:
    """What differs between a published figure and a measured row.

    Attributes
    ----------
    figure, value
        The row's primary figure, and its value in per cent.
    unsaid
        What the source, as far as the ledger knows it, does not say.
    to_run
        The command whose row would show the effect of the splits; empty if there is such a row, or nothing to run.

    Examples
    --------
    >>> from zslbench.ledger.keys import find_published
    >>> made = Explanation(find_published("sync@ucf101"), None, "top1", 20.0, (), ("frames",))
    >>> made.gap
    -5.0
    """

    published: Published
    row: Row | None
    figure: str
    value: float
    differences: tuple[Difference, ...]
    unsaid: tuple[str, ...]
    to_run: str = ""

    @property
    def gap(self) -> float:
        """The published figure minus the measured one, in points of per cent."""
        return self.published.value - self.value

    @property
    def conclusion(self) -> str:
        """What is known of the gap, and what is not."""
        others = [each for each in self.differences if each.what not in (METHOD, SPREAD)]
        measured = [each for each in others if each.points is not None]
        said = [
            f"{self.published.system} has {self.published.text} and {self.row.name if self.row else '?'} "
            f"{self.value:.1f}: {abs(self.gap):.1f} points {'less' if self.gap > 0 else 'more'} than published."
        ]
        if not others:
            said.append("Nothing but the method is known to differ.")
        else:
            said.append(f"{_things(len(others))} known to differ beside the method; {len(measured)} could be measured.")
        if len(measured) > 1:
            said.append("Each effect was measured alone; together they need not add up.")
        if len(measured) < len(others):
            said.append("How much the others explain is not known.")
        if self.unsaid:
            said.append(f"The source does not say, as far as the ledger knows: {', '.join(self.unsaid)}.")
        if others or self.unsaid:
            said.append("So the gap is no measure of the difference between the methods.")
        return " ".join(said)


def _things(number: int) -> str:
    return "1 thing is" if number == 1 else f"{number} things are"
