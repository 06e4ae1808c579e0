"""Ranges of parameters that ``zslbench tune`` searches; a method declares them in its ``Params``.

A field of type ``bool`` or ``Literal[...]`` has its choices by itself. A number is searched if its annotation has a
:class:`Range`. :class:`Choices` lists other values; without a value it keeps the parameter out of the search.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

if TYPE_CHECKING:
    from pydantic import BaseModel


@dataclass(frozen=True)
class Range:
    """The numbers from ``low`` to ``high``, both included, that a parameter may have in a search.

    Attributes
    ----------
    low, high
        The ends, in the unit of the parameter.
    log
        Whether equal ratios count as equal steps, as for strengths and learning rates.

    Raises
    ------
    ValueError
        The ends are not finite and ascending, or not positive with ``log``.

    Examples
    --------
    >>> from typing import Annotated
    >>> from pydantic import create_model
    >>> number = Annotated[float, Range(0.01, 100, log=True)]  # in a class: alpha: Annotated[...] = 1.0
    >>> declared(create_model("Params", alpha=(number, 1.0), unit_features=(bool, True)))
    {'alpha': Range(low=0.01, high=100, log=True), 'unit_features': Choices(values=(False, True))}
    """

    low: float
    high: float
    log: bool = False

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}" + (", log" if self.log else "")

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"a range goes from {self.low} to {self.high}; give two numbers, the smaller one first")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic range starts at {self.low}; it must start above 0")


@dataclass(frozen=True, init=False)
class Choices:
    """The values that a parameter may have in a search; none to leave it as it is.

    Examples
    --------
    >>> from typing import Annotated
    >>> from pydantic import create_model
    >>> size, switch = Annotated[int, Choices(64, 128, 256)], Annotated[bool, Choices()]
    >>> declared(create_model("Params", hidden=(size, 128), refit=(switch, True)))
    {'hidden': Choices(values=(64, 128, 256))}
    """

    values: tuple[Any, ...]

    def __init__(self, *values: Any) -> None:
        object.__setattr__(self, "values", values)  # the class is frozen

    def __str__(self) -> str:
        return ", ".join(map(str, self.values))


def declared(params: type[BaseModel]) -> dict[str, Range | Choices]:
    """Return what can be searched of a model of parameters, by name."""
    found: dict[str, Range | Choices] = {}
    for name, field in params.model_fields.items():
        own = [each for each in field.metadata if isinstance(each, Range | Choices)]
        if own:
            found[name] = own[-1]
        elif field.annotation is bool:
            found[name] = Choices(False, True)
        elif get_origin(field.annotation) is Literal:
            found[name] = Choices(*get_args(field.annotation))
    return {name: each for name, each in found.items() if each != Choices()}
