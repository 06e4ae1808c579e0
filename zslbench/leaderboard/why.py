"""Find what differs between a published figure and a measured row: settings, inputs, set-up, budget."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from zslbench.cells.cell import Cell
from zslbench.cells.rows import Row
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.label_sets import find_label_set
from zslbench.datasets.splits import SplitFamily, parse_splits
from zslbench.errors import ZslbenchError
from zslbench.families.catalog import find_family, first_family
from zslbench.families.listed import ALL_CLASSES, OFFICIAL
from zslbench.leaderboard._gains import is_trained
from zslbench.leaderboard.agreement import LEDGER_FIGURES, is_extractor, manifest_of, same_class_vectors
from zslbench.leaderboard.differences import METHOD, NOT_HERE, SPREAD, Difference, Explanation
from zslbench.ledger.published import Published
from zslbench.method import Budget
from zslbench.overlap.matches import overlapping
from zslbench.protocols.protocol import PROTOCOLS
from zslbench.protocols.settings import Setting, get_setting
from zslbench.registry import installed_method
from zslbench.stats.intervals import FIGURES, estimate

Kept = NDArray[np.bool_] | slice  # which of the splits, or of the classes
Reread = Callable[[str], float | None]
_COPIED = "per-video or per-class accuracy is not said"  # of a caveat


def explain(
    published: Published, row: Row, cell: Cell, rows: Sequence[Row], reread: Reread = lambda family: None
) -> Explanation:
    """Return what differs between a published figure and a row of the same dataset.

    Parameters
    ----------
    cell
        Any cell of the row.
    rows
        All rows of the results, among which some may differ from ``row`` in one thing only.
    reread
        Takes a family, and returns the row's first figure on its splits. ``None`` if the row kept no scores of all
        classes, or they cannot be read so.

    Raises
    ------
    ZslbenchError
        The row has no figures, or the published figure is no accuracy.
    """
    if not published.in_percent:
        raise ZslbenchError(f"the {published.metric} of {published.system} is no accuracy; choose another figure.")
    if not row.figures:
        raise ZslbenchError(f"{row.name} has no figures yet; finish the run, or choose another row.")
    pair = _Pair(published, row, cell, rows, reread)
    return Explanation(
        published=published,
        row=row,
        figure=row.primary,
        value=100 * row.figures[row.primary],
        differences=tuple(pair.differences()),
        unsaid=tuple(pair.unsaid()),
        to_run=pair.to_run(),
    )


class _Pair:
    """A published figure and a measured row, with what is known of both."""

    def __init__(self, published: Published, row: Row, cell: Cell, rows: Sequence[Row], reread: Reread) -> None:
        self.published, self.row, self.cell, self.reread = published, row, cell, reread
        self.read_again = False  # whether the effect of the splits was computed from kept scores
        self.setting = get_setting(published.setting) if published.setting else None
        self.dataset = get_dataset(row.table.dataset)
        self.manifest = manifest_of(row)
        self.same_method = [
            each for each in rows
            if each is not row and each.label == row.label and each.params == row.params and each.figures
            and each.table.dataset == row.table.dataset
        ]  # fmt: skip

    def differences(self) -> Iterator[Difference]:
        yield from self._splits()
        yield from self._figure()
        yield from self._spread()
        yield from self._training()
        yield from self._overlap()
        yield from self._features()
        yield from self._vectors()
        yield from self._setup()
        yield from self._budget()
        if self.published.method != self.row.label:
            yield Difference(METHOD, self.published.system, self.row.label, None, "what one wants to know")

    def unsaid(self) -> Iterator[str]:
        known = self.published
        if self.setting is None and not self.published.apart:
            yield "its setting"
        if not (known.features or known.setup.get("backbone")):
            yield "features"
        if not (known.class_vectors or "prompt" in known.setup):
            yield "class vectors or prompt"
        for name in ("frames", "views", "pooling", "scorer"):
            if name not in known.setup:
                yield name
        if known.transductive is None:
            yield "whether it saw unlabelled test videos"

    def _moved(self, fits: Callable[[Row], bool]) -> tuple[float | None, Row | None]:
        """Return how much the figure moves in the first row that differs in one thing only, and that row."""
        for each in self.same_method:
            if fits(each) and self.row.primary in each.figures:
                return 100 * (each.figures[self.row.primary] - self.row.figures[self.row.primary]), each
        return None, None

    def _splits(self) -> Iterator[Difference]:
        row, setting = self.row, self.setting
        if setting is None:
            if self.published.apart:
                yield Difference("protocol, splits", self.published.apart, f"{row.table.protocol}, {row.table.family}")
            return
        place = (row.table.dataset, row.table.protocol, row.table.family)
        if setting.measured_by(*place):
            yield from self._number_of_splits(setting)
            return

        def fits(each: Row) -> bool:
            same = (each.table.features, each.table.semantics) == (row.table.features, row.table.semantics)
            return same and setting.measured_by(each.table.dataset, each.table.protocol, each.table.family)

        points, other = self._moved(fits)
        how = f"your row on {other.table.family}, {other.n_done} of {other.n_all} splits" if other else NOT_HERE
        if other is None and setting.protocol == "zsl":
            family = first_family(self.dataset, setting.families)
            if (again := self.reread(family)) is not None:
                self.read_again = True
                points, how = 100 * (again - row.figures[row.primary]), f"your kept scores, read as {family}"
        theirs = f"{setting.protocol}, {setting.name}"
        yield Difference("protocol, splits", theirs, f"{row.table.protocol}, {row.table.family}", points, how)
        wanted, here = self._candidates(setting), self._candidates_here()
        if wanted and here and wanted != here:
            how = NOT_HERE if points is None else "part of the line above"
            yield Difference("candidate classes", str(wanted), str(here), None, how)

    def to_run(self) -> str:
        """Return the command that runs the method on the splits of the source, if their effect is not known."""
        row, setting = self.row, self.setting
        if (
            setting is None
            or self.read_again
            or any(
                setting.measured_by(*place) and each.n_done >= self._wanted(setting, each)
                for each in (row, *self.same_method)
                for place in [(each.table.dataset, each.table.protocol, each.table.family)]
                if (each.table.features, each.table.semantics) == (row.table.features, row.table.semantics)
            )
        ):
            return ""
        family = first_family(self.dataset, setting.families)
        more = shlex.join(["--features", row.table.features, "--semantics", row.table.semantics])
        return f"{setting.command(self.dataset.name, family, row.label)} {more}"

    def _wanted(self, setting: Setting, row: Row) -> int:
        return row.n_all if setting.splits == "all" else len(parse_splits(setting.splits, row.n_all))

    def _number_of_splits(self, setting: Setting) -> Iterator[Difference]:
        row = self.row
        wanted = self._wanted(setting, row)
        if row.n_done == wanted or row.counts is None:
            return
        points, how = None, NOT_HERE
        family = _family(self.dataset, row.table.family)
        if row.n_done > wanted and family is not None:
            kept = {split.digest for split in family.splits[:wanted]}
            inside = np.array([split in kept for split in row.counts.splits])
            if inside.any():
                points, how = self._on(inside, slice(None)), "the same cells"
        yield Difference("number of splits", f"{wanted}", f"{row.n_done}", points, how)

    def _on(self, splits: Kept, classes: Kept) -> float | None:
        """Return how much the primary figure moves on some of the splits and classes of the row's own cells."""
        counts, figure = self.row.counts, self.row.primary
        if counts is None or figure not in FIGURES:
            return None
        top1, scored = counts.top1[splits][:, classes], counts.scored[splits][:, classes]
        if not scored.sum(axis=1).all():  # a split would be left without videos
            return None
        found = estimate(top1, scored, figure, counts.unseen[splits][:, classes])
        return 100 * (found.mean - self.row.figures[figure])

    def _candidates(self, setting: Setting) -> int | None:
        """Return among how many classes the source chooses; ``None`` for base to novel, which has two answers."""
        family = _family(self.dataset, first_family(self.dataset, setting.families))
        tested = PROTOCOLS[setting.protocol].tested
        if family is None or tested == "apart":
            return None
        split = family.splits[0]
        return len(split.unseen) * (tested != "seen") + len(split.seen) * (tested != "unseen")

    def _candidates_here(self) -> int | None:
        chance = self.row.figures.get("chance")
        return round(1 / chance) if chance else None

    def _figure(self) -> Iterator[Difference]:
        figures, primary = self.row.figures, self.row.primary
        wanted, theirs, how = LEDGER_FIGURES.get(self.published.metric), "", "the same cells"
        if primary == wanted == "top1" and any(_COPIED in text for text in self.published.caveats):
            wanted, theirs, how = "top1_per_class", "per video or per class: not said", "the same cells, per class"
        if wanted is None or wanted == primary:
            return
        points = 100 * (figures[wanted] - figures[primary]) if wanted in figures else None
        yield Difference("figure", theirs or wanted, primary, points, NOT_HERE if points is None else how)

    def _spread(self) -> Iterator[Difference]:
        over, sd, n = self.published.spread_over, self.row.figures.get("split_std", math.nan), self.row.n_splits
        if over is None or math.isnan(sd) or ("ddof=1" in over and "lists" not in over):
            return
        how = "the ± only"
        if "ddof=0" in over:
            how = f"the ± only: {100 * sd * math.sqrt((n - 1) / n):.1f} instead of {100 * sd:.1f}"
        yield Difference(SPREAD, over, f"{n} splits, ddof=1", None, how)

    def _training(self) -> Iterator[Difference]:
        if self.setting is None:
            return
        tested = self.row.table.dataset
        theirs = self.setting.train or ("nothing" if self.setting.families[0] in (OFFICIAL, ALL_CLASSES) else tested)
        ours = self.cell.seen_dataset or tested
        if not is_trained(self.row, installed_method(self.row.method)):
            ours = "nothing"
        if theirs != ours:
            yield Difference("trained on", theirs, ours)

    def _overlap(self) -> Iterator[Difference]:
        """Yield a difference if tested classes have the names of classes that one of the two was trained on."""
        if self.row.counts is None:
            return
        family = self.setting and _family(self.dataset, first_family(self.dataset, self.setting.families))
        tested = {name for split in family.splits for name in split.unseen} if family else set(self.row.counts.names)
        theirs = self._shared([self.setting.train] if self.setting and self.setting.train else [], tested)
        trained = [*(self.manifest.trained_on if self.manifest else ()), *filter(None, [self.cell.seen_dataset])]
        ours = self._shared(trained, self.row.counts.names)
        if not (theirs or ours):
            return
        points, how = None, NOT_HERE
        inside = np.array([name in ours for name in self.row.counts.names])
        if inside.any() and not inside.all():
            points, how = self._on(slice(None), ~inside), "the same cells without them"
        if _met(theirs) != _met(ours):
            yield Difference("overlap", _met(theirs), _met(ours), points, how)

    def _shared(self, trained: Sequence[str], tested: Iterable[str]) -> frozenset[str]:
        """Return the tested classes that have the name of a class of training data, as far as its labels are known."""
        found: set[str] = set()
        for name in trained:
            labels = find_label_set(name)
            if labels is not None and labels.kind == "actions":
                matched = overlapping(self.dataset.name, labels.name, frozenset(tested))
                found |= {match.class_name for match in matched if match.same}
        return frozenset(found)

    def _features(self) -> Iterator[Difference]:
        theirs = self.published.features or self.published.setup.get("backbone", "")
        if not theirs or self.manifest is None or is_extractor(self.manifest, theirs):
            return
        row = self.row

        def fits(each: Row) -> bool:
            place = (each.table.protocol, each.table.family, each.table.semantics)
            manifest = manifest_of(each)
            same = place == (row.table.protocol, row.table.family, row.table.semantics)
            return same and manifest is not None and is_extractor(manifest, theirs)

        points, other = self._moved(fits)
        yield Difference(
            "features", theirs, self.manifest.extractor, points, other.table.features if other else NOT_HERE
        )

    def _vectors(self) -> Iterator[Difference]:
        theirs, row = self.published.class_vectors, self.row
        if not theirs or same_class_vectors(row.table.semantics, theirs):
            return
        place = (row.table.features, row.table.protocol, row.table.family)
        same = [e for e in self.same_method if (e.table.features, e.table.protocol, e.table.family) == place]
        points, other = self._moved(lambda each: each in same and same_class_vectors(each.table.semantics, theirs))
        yield Difference(
            "class vectors", theirs, row.table.semantics, points, other.table.semantics if other else NOT_HERE
        )

    def _setup(self) -> Iterator[Difference]:
        """Yield what the source says of its frames, scorer, prompt and names, and the row does not share by name."""
        setup, manifest = self.published.setup, self.manifest
        frames = ""
        if manifest is not None:
            each = manifest.n_frames / max(manifest.n_videos, 1)
            frames = "pooled" if manifest.kind == "pooled" else f"{each:.0f} vectors per video"
        here = {"frames": frames, "scorer": self.row.label, "prompt": "", "names": ""}
        for name, ours in here.items():
            if name in setup and not ours.startswith(f"{setup[name]} "):
                yield Difference(name, setup[name], ours or f"as in {self.row.table.semantics}", *self._by_prompt(name))

    def _by_prompt(self, name: str) -> tuple[None, str]:
        """Return how far other class vectors of the results move the row, for what depends on them."""
        row = self.row
        place = (row.table.features, row.table.protocol, row.table.family)
        moved = [
            100 * (e.figures[row.primary] - row.figures[row.primary])
            for e in self.same_method if (e.table.features, e.table.protocol, e.table.family) == place
        ]  # fmt: skip
        if name not in ("prompt", "names") or not moved:
            return None, NOT_HERE
        low, high = f"{min(moved):+.1f}", f"{max(moved):+.1f}"
        return None, f"with other class vectors: {low}{'' if low == high else f' to {high}'}"

    def _budget(self) -> Iterator[Difference]:
        budget = self.row.budget
        for what, theirs, ours in (
            ("test videos seen", self.published.transductive, Budget.UNSEEN_VIDEOS in budget),
            ("other datasets", self.published.auxiliary_data, Budget.AUXILIARY_VIDEOS in budget),
        ):
            if theirs is not None and theirs != ours:
                yield Difference(what, "yes" if theirs else "no", "yes" if ours else "no")


def _met(names: frozenset[str]) -> str:
    return f"{len(names)} classes met before" if names else "none by name"


def _family(dataset: Dataset, name: str) -> SplitFamily | None:
    try:
        return find_family(dataset, name)
    except ZslbenchError:
        return None
