"""Measure what corrections of hubness gain: the table of ``docs/methods/hubness.md``.

Run ``python tools/measure_hubness.py --store FILE`` after both feature sets were imported; the page has the commands.
Measurements are kept in FILE. ``held_out_seen.py`` has the ground: held-out seen classes only.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from held_out_seen import GROUNDS, Found, Measurements

PAGE = Path(__file__).parent.parent / "docs" / "methods" / "hubness.md"
BEGIN, END = "<!-- begin: measured by tools/measure_hubness.py -->", "<!-- end -->"
METHODS: dict[str, Mapping[str, Any]] = {
    "ridge": {"centre": False}, "ridge, centred": {"centre": True}, "pooled-krr": {"centre": False},
    "pooled-krr, centred": {"centre": True}, "conse": {}, "sae, encode": {"direction": "encode"},
    "mte": {}, "eszsl": {}, "sae, decode": {"direction": "decode"}, "reverse-ridge": {},
}  # fmt: skip
STEPS = ("", "centring", "csls", "inverted-softmax")
UNITS = {"captions": 4, "vgg16": 6}


def text(found: Sequence[Found], alone: Sequence[Found]) -> str:
    """Return "accuracy (gain ± its sd over the units), hubness"."""
    accuracy = 100 * np.array([each.accuracy for each in found])
    gain = accuracy - 100 * np.array([each.accuracy for each in alone])
    said = "" if found is alone else f" ({gain.mean():+.1f} ± {gain.std(ddof=1):.1f})"
    return f"{accuracy.mean():.1f}{said}, {np.mean([each.hubness for each in found]):.1f}"


def main() -> None:
    """Measure what is missing, and write the tables into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, required=True, help="JSON lines of measurements, made or continued")
    store, written = Measurements(parser.parse_args().store), ""
    for ground in GROUNDS:
        lines = ["| method | alone | `+centring` | `+csls` | `+inverted-softmax` |", "|---|---|---|---|---|"]
        for name, values in METHODS.items():
            base = name.partition(",")[0]
            found = [
                list(store.units(f"{base}+{step}" if step else base, values, ground, range(UNITS[ground])))
                for step in STEPS
            ]
            lines.append(
                f"| `{base}`{name.removeprefix(base)} | " + " | ".join(text(f, found[0]) for f in found) + " |"
            )
            print(ground, lines[-1], flush=True)
        written += f"\n**{ground}**\n\n" + "\n".join(lines) + "\n"
    page = PAGE.read_text(encoding="utf-8")
    start, end = page.index(BEGIN) + len(BEGIN), page.index(END)
    PAGE.write_text(f"{page[:start]}\n{written}\n{page[end:]}", encoding="utf-8")


if __name__ == "__main__":
    main()
