"""Measure whether each categorical parameter's default is the best: the table of ``docs/methods/defaults.md``.

Run ``OMP_NUM_THREADS=1 python tools/measure_defaults.py --store FILE`` after both feature sets were imported; the page
has the commands. Measurements are kept in FILE. ``--minutes`` ends the measuring, and the next call goes on. Methods of
which FILE has nothing keep the rows that the page has of them; the table says what is missing. ``held_out_seen.py`` has
the ground: held-out seen classes only.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np
from held_out_seen import GROUNDS, Found, Measurements
from numpy.typing import NDArray

from zslbench.registry import get_method
from zslbench.stats.paired import compare_classes, holm
from zslbench.stats.runs import run_effect

PAGE = Path(__file__).parent.parent / "docs" / "methods" / "defaults.md"
EDGES = "Choices at the edge of their grid:"
BEGIN, END = "<!-- begin: measured by tools/measure_defaults.py -->", "<!-- end -->"
FAST, TRAINED, SLOW = {"captions": 4, "vgg16": 6}, {"captions": 2, "vgg16": 3}, {"captions": 0, "vgg16": 3}
METHODS = {
    "eszsl": FAST, "sae": FAST, "ridge": FAST, "reverse-ridge": FAST, "conse": FAST, "mte": FAST, "sync": FAST,
    "dap": FAST, "iap": FAST, "pooled-krr": TRAINED, "uda": TRAINED, "kdica": TRAINED,
    "devise": TRAINED, "sje": TRAINED, "ale": TRAINED, "latem": TRAINED, "dem": TRAINED, "coco": TRAINED,
    "bike": TRAINED, "sti": TRAINED, "f-vaegan": SLOW, "f-clswgan": SLOW, "action2vec": {"captions": 1, "vgg16": 1},
}  # fmt: skip
SKIPPED = ("device", "precision")  # how it is computed, not what
FOLDS = (1, 2, 3, 5)  # not a category, but asked for as one
LEVEL = 0.05  # of Holm's correction over the values of a parameter on one feature set
# Where the other value would be another method, its measured gain is no reason for a new default.
DEFINED = {
    ("mte", "mapping"): "`latent` is the method; the others are its baselines",
    ("uda", "labels"): "label propagation makes a video's score depend on the others of its batch",
    ("sti", "spatial"): "needs patches, which neither feature set has",
}


@dataclass(frozen=True)
class Variant:
    """A method with one parameter that is no default; ``parameter`` is empty for the defaults."""

    method: str
    parameter: str = ""
    value: Any = None

    @property
    def values(self) -> dict[str, Any]:
        """The parameters that are no default."""
        return {self.parameter: self.value} if self.parameter else {}


def categories(annotation: Any) -> tuple[Any, ...]:
    """Return the values of a boolean or literal type, ``None`` among them where it is allowed, or nothing."""
    if annotation is bool:
        return True, False
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if get_origin(annotation) in (Union, UnionType):
        found = [categories(each) for each in get_args(annotation) if each is not type(None)]
        return (*(value for values in found for value in values), None) if all(found) else ()
    return ()


def variants(method: str) -> Iterator[Variant]:
    """Yield the defaults of a method, then each other value of each categorical parameter and of ``folds``."""
    yield Variant(method)
    for name, field in get_method(method).Params.model_fields.items():
        choices = FOLDS if name == "folds" else categories(field.annotation)
        if name in SKIPPED or (name == "folds" and len(choices) == 1):
            continue
        least = 2 if name == "folds" and "epochs" not in get_method(method).Params.model_fields else 1
        for value in choices:
            if value != field.default and not (name == "folds" and value < least):
                yield Variant(method, name, value)


def budget_changes(variant: Variant) -> bool:
    """Return whether the value lets the method see more than its defaults do: no ground to compare on."""
    made = get_method(variant.method)
    return made(variant.values).budget != made().budget


def by_class(found: Sequence[Found]) -> NDArray[np.float64]:
    """Return (n_units, n_classes) accuracies, NaN where a class was not held out."""
    names = sorted({name for each in found for name in each.right})
    table = np.full((len(found), len(names)), np.nan)
    for row, each in zip(table, found, strict=True):
        for name, (right, count) in each.right.items():
            row[names.index(name)] = right / count
    return table


@dataclass(frozen=True)
class Row:
    """What was measured of a variant on one feature set; ``p`` is of its difference from the defaults."""

    found: tuple[Found, ...]
    gain: float = float("nan")
    p: float = float("nan")
    same: bool = False

    @property
    def text(self) -> str:
        """Return "mean ± sd (units)" in percent."""
        if not self.found:
            return "-"
        if any(each.refused for each in self.found):
            return "refused"
        values = 100 * np.array([each.accuracy for each in self.found])
        spread = f" ± {values.std(ddof=1):.1f}" if len(values) > 1 else ""
        return f"{values.mean():.1f}{spread} ({len(values)})"


def compared(found: Sequence[Found], default: Sequence[Found]) -> Row:
    """Return the row of a variant beside the defaults on the same units."""
    shared = min(len(found), len(default))
    found, default = found[:shared], default[:shared]
    if not shared or any(each.refused for each in (*found, *default)):
        return Row(tuple(found))
    difference = by_class(found) - by_class(default)
    gain = float(np.mean([a.accuracy - b.accuracy for a, b in zip(found, default, strict=True)]))
    if (np.nan_to_num(difference) == 0).all():
        return Row(tuple(found), gain, same=True)
    of_class = np.nanmean(difference, axis=0)
    return Row(tuple(found), gain, compare_classes(of_class, runs=run_effect(difference)).p)


def verdict(variant: Variant, rows: Mapping[str, Row], significant: Mapping[str, bool]) -> str:
    """Say in words what the measurements of a value say about the default."""
    asked = {name: row for name, row in rows.items() if not np.isnan(row.gain)}
    if not asked:
        return "another budget" if budget_changes(variant) else "refused"
    if all(row.same for row in asked.values()):
        return "no effect here"
    better = [name for name, row in asked.items() if significant[name] and row.gain > 0]
    worse = [name for name, row in asked.items() if significant[name] and row.gain < 0]
    if better and all(row.gain >= 0 for row in asked.values()):
        reason = DEFINED.get((variant.method, variant.parameter))
        return f"better on {', '.join(better)}; {reason}" if reason else f"**better** on {', '.join(better)}"
    if better:
        return f"better on {', '.join(better)} only"
    return f"the default is better on {', '.join(worse)}" if worse else "within noise"


def edges(measured: Mapping[Variant, Mapping[str, Sequence[Found]]], page: str, now: Mapping[str, bool]) -> str:
    """Return how often the defaults of each method chose the first or the last value of a grid."""
    lines = ["| method | parameter | fits at the first value | at the last |", "|---|---|---|---|"]
    for variant, grounds in measured.items():
        notes = [each.notes for found in grounds.values() for each in found if not variant.parameter]
        for name in sorted({name for note in notes for name in note if name.endswith("_at_edge")}):
            sides = [str(note.get(name, "")).partition(" ")[0] for note in notes]
            of = f"of {len(notes)}"
            shown = f"`{variant.method}` | `{name.removesuffix('_at_edge')}`"
            lines.append(f"| {shown} | {sides.count('first')} {of} | {sides.count('last')} {of} |")
    return "\n".join(with_earlier(lines, page, now))


def corrected_p(p: Mapping[Variant, float]) -> dict[Variant, float]:
    """Return Holm's correction of p-values over the values of each parameter: each parameter is its own question."""
    questions: dict[tuple[str, str], list[Variant]] = {}
    for variant in p:
        if variant.parameter:
            questions.setdefault((variant.method, variant.parameter), []).append(variant)
    return {
        variant: float(corrected)
        for values in questions.values()
        for variant, corrected in zip(values, holm(np.array([p[each] for each in values])), strict=True)
    }


def with_earlier(lines: Sequence[str], page: str, measured: Mapping[str, bool]) -> list[str]:
    """Return the head and the rows of a table, each method's from ``page`` where it was not measured now."""
    found: dict[str, list[str]] = {}
    for text, now in ((page.splitlines(), False), (lines[2:], True)):
        for line in text:
            if line.startswith("| `") and measured.get(name := line.split("`")[1]) is now:
                found.setdefault(name, []).append(line)
    return [*lines[:2], *(line for name in METHODS for line in found.get(name, []))]


def table(measured: Mapping[Variant, Mapping[str, Sequence[Found]]], page: str, now: Mapping[str, bool]) -> str:
    """Return the Markdown table; ``page`` has the rows of methods that were not measured ``now``."""
    rows = {
        variant: {g: compared(found, measured[Variant(variant.method)][g]) for g, found in grounds.items()}
        for variant, grounds in measured.items()
    }
    missing = sorted({v.method for v, of in rows.items() if not any(row.found for row in of.values())
                      and not (v.parameter and budget_changes(v))})  # fmt: skip
    rows = {variant: of for variant, of in rows.items() if variant.method not in missing}
    missing = [name for name in missing if f"| `{name}` | *defaults*" not in page]
    corrected = {ground: corrected_p({variant: of[ground].p for variant, of in rows.items()}) for ground in GROUNDS}
    lines = ["| method | parameter | value | captions | VGG16 | verdict |", "|---|---|---|---|---|---|"]
    for variant, found in rows.items():
        default = get_method(variant.method).Params.model_fields.get(variant.parameter)
        texts = " | ".join(found[g].text for g in GROUNDS)
        if default is None:
            seconds = [each.seconds for g in GROUNDS for each in found[g].found if not each.refused]
            cost = f"{np.mean(seconds):.1f} s per fit" if seconds else ""
            lines.append(f"| `{variant.method}` | *defaults* | | {texts} | {cost} |")
        else:
            said = verdict(variant, found, {g: bool(corrected[g][variant] < LEVEL) for g in GROUNDS})
            name = f"`{variant.method}` | `{variant.parameter}` (`{default.default}`) | `{variant.value}`"
            lines.append(f"| {name} | {texts} | {said} |")
    names = ", ".join(f"`{name}`" for name in missing)
    lines = with_earlier(lines, page, now)
    return "\n".join([*lines, *(["", f"Not measured, or not all values: {names}."] if missing else [])])


@cache
def _stop(minutes: float) -> float:
    return time.monotonic() + 60 * minutes


def main() -> None:
    """Measure what is missing for as long as asked, and write the table into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, required=True, help="JSON lines of measurements, made or continued")
    parser.add_argument(
        "--only", nargs="+", default=list(METHODS), help="measure these methods; the rest are as stored"
    )
    parser.add_argument("--minutes", type=float, default=25.0, help="time for measuring; 0 only writes the table")
    args = parser.parse_args()
    store = Measurements(args.store)
    measured: dict[Variant, dict[str, list[Found]]] = {}
    for method, units in METHODS.items():
        for variant in variants(method):
            measured[variant] = {ground: [] for ground in GROUNDS}
            if variant.parameter and budget_changes(variant):
                continue
            for ground, n in units.items():
                deadline = _stop(args.minutes if method in args.only else 0.0)
                asked = store.units(method, variant.values, ground, range(n), deadline=deadline)
                measured[variant][ground] = list(asked)
            print(variant, {g: Row(tuple(found)).text for g, found in measured[variant].items()}, flush=True)
    text = PAGE.read_text(encoding="utf-8")
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    now = {method: any(any(measured[each].values()) for each in variants(method)) for method in METHODS}
    first, _, second = text[start:end].partition(EDGES)
    tables = f"{table(measured, first, now)}\n\n{EDGES}\n\n{edges(measured, second, now)}"
    PAGE.write_text(f"{text[:start]}\n{tables}\n{text[end:]}", encoding="utf-8")


if __name__ == "__main__":
    main()
