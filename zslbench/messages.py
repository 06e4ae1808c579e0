"""What a method says during a fit: progress, metrics, choices and warnings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Report:
    """The messages of a method during a fit; this base class stores them and shows nothing.

    Attributes
    ----------
    epochs
        One record of metrics per call of :meth:`epoch`, stored with the result.
    warnings
        Sentences, stored with the result.
    notes
        Choices of the fit, stored with the result.

    Examples
    --------
    >>> report = Report()
    >>> report.epoch(loss=0.7)
    >>> report.note(chosen="rbf", gamma=0.1)
    >>> report.epochs, report.notes
    ([{'loss': 0.7}], {'chosen': 'rbf', 'gamma': 0.1})
    """

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []
        self.warnings: list[str] = []
        self.notes: dict[str, float | str] = {}

    def progress(self, done: float, total: float, what: str = "") -> None:
        """Report how far the fit is, in any unit."""

    def epoch(self, **metrics: float) -> None:
        """Store one record of metrics (loss, validation accuracy, ...)."""
        self.epochs.append({name: float(value) for name, value in metrics.items()})

    def warn(self, sentence: str) -> None:
        """Store a sentence that the user should read."""
        self.warnings.append(str(sentence))

    def note(self, **values: float | str) -> None:
        """Store a choice of the fit: a strength, the best epoch, a bandwidth."""
        self.notes.update(
            {n: float(v) if isinstance(v, int | float | np.number) else str(v) for n, v in values.items()}
        )

    def chosen(
        self,
        name: str,
        value: float | str,
        choices: Sequence[float | str],
        *,
        least: float = -np.inf,
        most: float = np.inf,
    ) -> None:
        """Store a choice of the fit, and warn if it is the first or the last of its choices.

        A better value may lie beyond such an edge. The note ``NAME_at_edge`` says which edge it is.

        Parameters
        ----------
        name
            Of the parameter.
        value
            What was chosen.
        choices
            What it was chosen from, in ascending order. A single one is no choice, and has no edge.
        least, most
            Natural bounds of a number: a choice at or beyond them is no edge.

        Examples
        --------
        >>> report = Report()
        >>> report.chosen("strength", 0.1, (0.1, 1.0, 10.0))
        >>> report.notes, report.warnings
        ({'strength': 0.1, 'strength_at_edge': 'first of 0.1 to 10'}, ['strength=0.1 is the first of the values that \
were tried (0.1 to 10): a better one may lie beyond'])
        >>> report.chosen("smoothness", 0.0, (0.0, 0.3), least=0.0)  # nothing lies below 0
        >>> len(report.warnings)
        1
        """
        self.note(**{name: value})
        bound = isinstance(value, int | float) and not least < value < most
        side = "first" if value == choices[0] else "last" if value == choices[-1] else ""
        if not side or bound or len(choices) == 1:
            return
        span = " to ".join(_plain(end) for end in (choices[0], choices[-1]))
        self.note(**{f"{name}_at_edge": f"{side} of {span}"})
        what = value if isinstance(value, str) else f"{name}={_plain(value)}"
        self.warn(f"{what} is the {side} of the values that were tried ({span}): a better one may lie beyond")


def _plain(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
