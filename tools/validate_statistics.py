"""Measure false-positive rates, power and coverage of the tests and intervals on experiments whose truth is known.

Run ``python tools/validate_statistics.py``. It prints the tables, writes them between the marks of
``docs/statistics.md`` and draws ``docs/images/statistics-*.png``. This takes minutes. The tests use its simulation.

Each experiment draws new classes from one population and uses a dataset's real split family. On the logit scale the
accuracy of method m on class c in split s is

    mean + shift_m + common_c + own_mc + split_ms + cell_mcs.

All parts are normal; correct videos are binomial with the real class sizes. Two methods are equal if their shifts are
equal: any difference between them then comes from the drawn classes.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy import special, stats

from zslbench.datasets.catalog import get_dataset
from zslbench.stats.intervals import class_values, estimate
from zslbench.stats.paired import near_best, t_test
from zslbench.stats.runs import run_effect

DOCS = Path(__file__).resolve().parents[1] / "docs"
REPETITIONS = 2000
N_SPLITS = (10, 30, 50)


@dataclass(frozen=True)
class Layout:
    """The unseen classes of each split, and the number of videos per class.

    Attributes
    ----------
    unseen
        (n_splits, n_classes).
    sizes
        (n_classes,) videos; 60 where a dataset does not say.
    first
        (n_splits,) False for a split that repeats an earlier one.
    """

    unseen: np.ndarray
    sizes: np.ndarray
    first: np.ndarray

    @classmethod
    def of(cls, dataset: str, family: str = "xu-50/50") -> Layout:
        """Return the layout of a registered dataset's family."""
        found = get_dataset(dataset)
        splits = found.family(family).splits
        digests = [split.digest for split in splits]
        return cls(
            np.array([[name in split.unseen for name in found.classes] for split in splits]),
            np.array([(found.videos_per_class or {}).get(name, 60) for name in found.classes]),
            np.array([digest not in digests[:i] for i, digest in enumerate(digests)]),
        )


@dataclass(frozen=True)
class Population:
    """Standard deviations of the parts, in logits.

    ``cell`` and ``split`` reproduce the rates in decision record 0005. :data:`CAPTIONS` has their proportions between
    ridge, reverse-ridge and ESZSL on real features of UCF101. These were estimated by REML on differences in accuracy
    over 47 splits: 0.95 to 1.2 per cell and 0.07 to 0.12 per split, relative to the standard deviation of classes.
    """

    mean: float = -1.6
    common: float = 1.3
    own: float = 0.9
    cell: float = 0.54
    split: float = 0.05
    shift: float = 0.0

    def expected(self, shift: float = 0.0) -> float:
        """Return the expected accuracy of a new class, by Gauss-Hermite quadrature."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(200)
        sd = np.sqrt(self.common**2 + self.own**2 + self.cell**2 + self.split**2)
        return float(special.expit(self.mean + shift + sd * nodes) @ weights / weights.sum())

    @property
    def difference(self) -> float:
        """Expected accuracy of the first method minus that of the others."""
        return self.expected(self.shift) - self.expected()


QUOTED = Population()
CAPTIONS = Population(cell=0.95, split=0.09)


def simulate(
    layout: Layout, population: Population, n_methods: int = 2, repetitions: int = REPETITIONS, seed: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield chunks of experiments: correct videos, (n_methods, chunk, n), and splits and classes of the n tested pairs.

    The first method has the population's shift.
    """
    rng = np.random.default_rng(seed)
    split, cls = np.nonzero(layout.unseen)
    chunk = 250
    for start in range(0, repetitions, chunk):
        n = min(chunk, repetitions - start)
        common = population.mean + population.common * rng.standard_normal((n, layout.unseen.shape[1]))
        right = np.empty((n_methods, n, len(split)))
        for method in range(n_methods):
            by_class = common + population.own * rng.standard_normal(common.shape) + population.shift * (method == 0)
            by_split = population.split * rng.standard_normal((n, len(layout.unseen)))
            logits = by_class[:, cls] + by_split[:, split] + population.cell * rng.standard_normal((n, len(split)))
            right[method] = rng.binomial(layout.sizes[cls], special.expit(logits))
        yield right, split, cls


@dataclass(frozen=True)
class Differences:
    """Differences of two methods in many experiments: (n, n_classes) by class and (n, n_splits) by split.

    Papers test the differences by split: over every split that was run, including repeated ones.
    """

    by_class: np.ndarray
    by_split: np.ndarray

    @classmethod
    def of(cls, layout: Layout, population: Population, n_splits: int, **options: int) -> Differences:
        """Simulate two methods and keep the first splits."""
        by_class, by_split = [], []
        for right, split, place in simulate(layout, population, **options):
            accuracy = (right[0] - right[1]) / layout.sizes[place]
            used = (split < n_splits) & layout.first[split]
            indicator = np.zeros((len(place), layout.unseen.shape[1]))
            indicator[np.arange(len(place)), place] = used
            tested = indicator.any(axis=0)
            by_class.append(accuracy @ (indicator / np.maximum(indicator.sum(axis=0), 1))[:, tested])
            of_split = (split[:, None] == np.arange(n_splits)).astype(float)
            by_split.append(accuracy @ (of_split / of_split.sum(axis=0)))
        return cls(np.concatenate(by_class), np.concatenate(by_split))


def rate(p: np.ndarray) -> float:
    """Return the share of p-values up to 5 %."""
    return float((p <= 0.05).mean())


def nadeau_bengio(by_split: np.ndarray, test_share: float) -> np.ndarray:
    """Return the p-values of the corrected test for many experiments; ``zslbench.stats`` has it for one."""
    n = by_split.shape[1]
    error = by_split.std(axis=1, ddof=1) * np.sqrt(1 / n + test_share)
    return 2 * stats.t.sf(np.abs(by_split.mean(axis=1)) / error, n - 1)


def sign_flips(by_class: np.ndarray, repetitions: int = 1999) -> np.ndarray:
    """Return the p-values of the permutation test for many experiments, with the same sign flips for all."""
    signs = np.random.default_rng(0).choice((-1.0, 1.0), size=(by_class.shape[1], repetitions))
    # 1e-12: sums of the same numbers in another order differ by rounding, and count as reached.
    reached = np.abs(by_class @ signs) >= np.abs(by_class.sum(axis=1))[:, None] - 1e-12
    return (reached.sum(axis=1) + 1) / (repetitions + 1)


def rejections(d: Differences) -> dict[str, float]:
    """Return the share of experiments in which each test declares a winner."""
    return {
        "t over splits": rate(t_test(d.by_split)),
        "Nadeau-Bengio": rate(nadeau_bengio(d.by_split, 1.0)),
        "t over classes": rate(t_test(d.by_class)),
        "sign flips": rate(sign_flips(d.by_class)),
        "Wilcoxon": rate(stats.wilcoxon(d.by_class, axis=1, zero_method="pratt").pvalue),
    }


def coverage(by_class: np.ndarray, truth: float, repetitions: int = 2000) -> dict[str, float]:
    """Return the share of experiments in which each 95 % interval of the mean over classes covers the truth."""
    n = by_class.shape[1]
    mean, error = by_class.mean(axis=1), by_class.std(axis=1, ddof=1) / np.sqrt(n)
    t = stats.t.ppf(0.975, n - 1)
    means = by_class @ class_draws(n, repetitions, 0).T / n
    tail = expanded_tail(n, 0.95)
    centred = by_class - mean[:, None]
    skew = (centred**3).sum(axis=1) / (6 * (centred**2).sum(axis=1) ** 1.5)
    bias = special.ndtri(np.clip((means < mean[:, None]).mean(axis=1), 1e-6, 1 - 1e-6))
    tails = [special.ndtr(bias + (bias + z) / (1 - skew * (bias + z))) for z in (-1.96, 1.96)]
    rows = np.arange(len(means))
    means.sort(axis=1)
    bca = [means[rows, np.clip((q * repetitions).astype(int), 0, repetitions - 1)] for q in tails]
    intervals = {
        "t": (mean - t * error, mean + t * error),
        "percentile": np.quantile(means, [0.025, 0.975], axis=1),
        "expanded percentile": np.quantile(means, [tail, 1 - tail], axis=1),
        "BCa": bca,
    }
    return {name: float(((low <= truth) & (truth <= high)).mean()) for name, (low, high) in intervals.items()}


def class_draws(n_classes: int, repetitions: int, seed: int) -> np.ndarray:
    """Return how often each class is drawn in each bootstrap sample, (repetitions, n_classes)."""
    shares = np.full(n_classes, 1 / n_classes)
    return np.random.default_rng(seed).multinomial(n_classes, shares, size=repetitions).astype(float)


def expanded_tail(n: int, level: float) -> float:
    """Return the share of bootstrap means to leave out on each side (Hesterberg, The American Statistician 2015)."""
    return float(special.ndtr(np.sqrt(n / (n - 1)) * special.stdtrit(n - 1, (1 - level) / 2)))


def bootstrap_interval(correct: np.ndarray, total: np.ndarray, repetitions: int = 2000) -> tuple[float, float]:
    """Return the expanded percentile interval of the mean over splits of top-1, classes drawn anew."""
    used = total.any(axis=0)
    draws = class_draws(int(used.sum()), repetitions, 0)
    below = draws @ total[:, used].T
    kept = below > 0  # a draw can miss every class of a small split: that split then says nothing in it
    values = draws @ correct[:, used].T / np.maximum(below, 1)
    valid = kept.any(axis=1)
    means = (values * kept).sum(axis=1)[valid] / kept.sum(axis=1)[valid]
    tail = expanded_tail(int(used.sum()), 0.95)
    low, high = np.quantile(means, [tail, 1 - tail]).tolist()
    return low, high


def leaderboard_coverage(
    layout: Layout, population: Population, n_splits: int, repetitions: int = 1000
) -> tuple[float, float]:
    """Return the shares in which two intervals of one method's top-1 cover the accuracy on new classes.

    They are the leaderboard's interval, and the expanded percentiles of a bootstrap that draws classes.
    """
    truth, inside = population.expected(), np.zeros(2)
    for right, split, place in simulate(layout, population, 1, repetitions):
        used = (split < n_splits) & layout.first[split]
        total = np.where(layout.unseen & layout.first[:, None], layout.sizes, 0)[:n_splits]
        total = total[layout.first[:n_splits]].astype(float)
        rows = np.cumsum(layout.first)[split] - 1
        for experiment in right[0]:
            correct = np.zeros(total.shape)
            correct[rows[used], place[used]] = experiment[used]
            ours = estimate(correct, total, "top1")
            found = [(ours.low, ours.high), bootstrap_interval(correct, total)]
            inside += [low <= truth <= high for low, high in found]
    used_one, bootstrap = (inside / repetitions).tolist()
    return used_one, bootstrap


def shifted_runs(layout: Layout, population: Population, n_splits: int, repetitions: int = 1000) -> tuple[float, float]:
    """Return how often two equal methods differ by a test over classes alone, and by one over classes and runs."""
    kept = layout.first & (np.arange(len(layout.first)) < n_splits)
    part = Layout(layout.unseen[kept], layout.sizes, np.ones(int(kept.sum()), dtype=bool))
    found = np.zeros(2)
    for right, split, place in simulate(part, population, 2, repetitions):
        for difference in (right[0] - right[1]) / part.sizes[place]:
            by_run = np.full(part.unseen.shape, np.nan)
            by_run[split, place] = difference
            counted = np.where(part.unseen, by_run, 0), part.unseen.astype(float)
            values = class_values(*counted, "top1_per_class")
            values = values[~np.isnan(values)]
            found += [t_test(values) < 0.05, t_test(values, run_effect(by_run)) < 0.05]
    alone, both = (found / repetitions).tolist()
    return alone, both


def harmonic_differences(layout: Layout, n_splits: int, shift: float, repetitions: int, seed: int = 0) -> np.ndarray:
    """Return class values of the difference in H of two methods in GZSL, (repetitions, n_classes).

    Seen and unseen accuracies of a class share its difficulty. Unseen classes are much harder, as in reality.
    """
    kept = layout.first & (np.arange(len(layout.first)) < n_splits)
    unseen, sizes = layout.unseen[kept], layout.sizes
    scored = np.where(unseen, sizes, np.maximum(sizes // 5, 1)).astype(float)
    rng, p = np.random.default_rng(seed), QUOTED
    found = []
    for _ in range(repetitions):
        common = p.common * rng.standard_normal(len(sizes))
        values = []
        for method in range(2):
            by_class = common + p.own * rng.standard_normal(len(sizes)) + shift * (method == 0)
            noise = p.split * rng.standard_normal((len(unseen), 1)) + p.cell * rng.standard_normal(unseen.shape)
            accuracy = special.expit(np.where(unseen, -3.0, 0.5) + by_class + noise)
            right = rng.binomial(scored.astype(int), accuracy).astype(float)
            values.append(class_values(right, scored, "H", unseen))
        found.append(values[0] - values[1])
    return np.array(found)


def best_left_out(layout: Layout, n_methods: int, n_splits: int = 50, repetitions: int = REPETITIONS) -> float:
    """Return the share of experiments in which a given one of equal methods is not among the possibly best."""
    out = 0
    for right, split, place in simulate(layout, QUOTED, n_methods, repetitions):
        used = (split < n_splits) & layout.first[split]
        indicator = np.zeros((len(place), layout.unseen.shape[1]))
        indicator[np.arange(len(place)), place] = used
        values = (right / layout.sizes[place]) @ (indicator / indicator.sum(axis=0))
        best = values.mean(axis=2).argmax(axis=0)
        differences = values[best, np.arange(len(best))] - values[0]
        out += int((~near_best(differences, n_methods)).sum())
    return out / repetitions


def small(n_classes: int) -> Layout:
    """Return 50 random 50/50 splits of a small dataset with 60 videos per class."""
    rng = np.random.default_rng(0)
    unseen = np.array([rng.permutation(n_classes) < n_classes // 2 for _ in range(50)])
    return Layout(unseen, np.full(n_classes, 60), np.ones(50, dtype=bool))


def few(n_classes: int, n_splits: int) -> Layout:
    """Return one split that tests all of a few classes, or more that test a random half each; sizes are HMDB51's."""
    rng = np.random.default_rng(0)
    sizes = rng.choice(Layout.of("hmdb51").sizes, n_classes, replace=False)
    tested = n_classes if n_splits == 1 else n_classes // 2
    unseen = np.array([rng.permutation(n_classes) < tested for _ in range(n_splits)])
    return Layout(unseen, sizes, np.ones(n_splits, dtype=bool))


def unequal_spreads(n_classes: int = 51, repetitions: int = REPETITIONS) -> dict[str, float]:
    """Return rejections if one method gains a little on most classes and loses much on few, so that means are equal."""
    rng = np.random.default_rng(0)
    by_class = 0.1 * (1 - rng.exponential(size=(repetitions, n_classes)))
    return rejections(Differences(by_class, by_class))


def markdown(headers: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def percent(share: float) -> str:
    """Return a share in percent."""
    return f"{100 * share:.1f}"


def measure() -> tuple[str, dict[str, dict[int, dict[str, float]]]]:
    """Return the tables as Markdown, and the rejections of the main experiment for the picture."""
    layouts = {name: Layout.of(name) for name in ("hmdb51", "ucf101")}
    parts, main = [], {}
    rows = []
    for title, population in (("quoted", QUOTED), ("captions", CAPTIONS)):
        for name, layout in layouts.items():
            by_n = {n: rejections(Differences.of(layout, population, n, repetitions=5000)) for n in N_SPLITS}
            if title == "quoted":
                main[name] = by_n
            rows += [[title, name, str(n), *map(percent, found.values())] for n, found in by_n.items()]
    tests = list(next(iter(main["hmdb51"].values())))
    parts.append("**Two equal methods: how often a winner is declared, % (wanted: 5).**\n\n"
                 + markdown(["noise", "dataset", "splits", *tests], rows))  # fmt: skip
    spreads = unequal_spreads()
    parts.append(
        "**Equal means, skewed differences (51 classes; most gain a little, few lose much): a winner is declared, %.** "
        + ", ".join(f"{name} {percent(spreads[name])}" for name in tests[2:]) + "."
    )  # fmt: skip
    rows = []
    for share in (0.25, 0.5, 1.0):
        shifted = replace(QUOTED, shift=share * QUOTED.own * np.sqrt(2))
        for name, layout in layouts.items():
            found = [rejections(Differences.of(layout, shifted, n)) for n in N_SPLITS]
            points = f"{100 * shifted.difference:.1f}"
            cells = [f"{percent(f['t over classes'])} / {percent(f['Nadeau-Bengio'])}" for f in found]
            rows.append([f"{share:g}", points, name, *cells])
    headers = ["class-level sd", "points", "dataset", *(f"{n} splits" for n in N_SPLITS)]
    parts.append("**One method truly better: how often the t-test over classes / Nadeau-Bengio finds it, %.**\n\n"
                 + markdown(headers, rows))  # fmt: skip
    rows = []
    for name, layout in {**layouts, "16 classes": small(16)}.items():
        for share in (0.0, 1.0):
            shifted = replace(QUOTED, shift=share * QUOTED.own * np.sqrt(2))
            for n in (10, 50):
                found = coverage(Differences.of(layout, shifted, n).by_class, shifted.difference)
                rows.append([name, f"{share:g}", str(n), *map(percent, found.values())])
    kinds = list(found)
    parts.append("**How often the 95 % interval of the difference covers the truth, %.**\n\n"
                 + markdown(["dataset", "class-level sd", "splits", *kinds], rows))  # fmt: skip
    rows = [
        [title, name, str(n), *map(percent, leaderboard_coverage(layout(n), population, n))]
        for title, population in (("quoted", QUOTED), ("captions", CAPTIONS))
        for name, layout in {
            **{f"{c} classes": partial(few, c) for c in (5, 6, 8, 10, 16)},
            **{name: lambda _, kept=layout: kept for name, layout in layouts.items()},
        }.items()
        for n in (1, 10)
    ]  # fmt: skip
    parts.append("**How often the leaderboard's 95 % interval of top-1 covers it, %.**\n\n"
                 + markdown(["noise", "classes", "splits", "Student's, logit (used)", "bootstrap"], rows))  # fmt: skip
    families = {"hmdb51": "xu-50/50", "ucf101": "xu-50/50", "kinetics600": "kinetics-zsar"}
    rows = [
        [name, str(n), f"{sd:g}", *map(percent, shifted_runs(Layout.of(name, family), replace(CAPTIONS, split=sd), n))]
        for name, family in families.items() for n in ((3,) if name == "kinetics600" else (2, 5, 10))
        for sd in (0.0, 0.09, 0.3)
    ]  # fmt: skip
    parts.append("**Two equal methods whose runs are shifted as a whole: how often a winner is declared, %.**\n\n"
                 + markdown(["dataset", "splits", "sd of a run", "over classes", "and runs (used)"], rows))  # fmt: skip
    h = harmonic_differences(layouts["hmdb51"], 10, 0.0, REPETITIONS)
    shifted_h = harmonic_differences(layouts["hmdb51"], 10, 0.9 * np.sqrt(2), REPETITIONS)
    parts.append(
        f"**GZSL's H, hmdb51, 10 splits:** two equal methods differ in {percent(rate(t_test(h)))} %; the interval "
        f"covers {percent(coverage(h, 0.0)['t'])} %, under a difference of one class-level standard deviation "
        f"{percent(coverage(shifted_h, float(shifted_h.mean()))['t'])} %."
    )
    parts.append(
        "**Of equal methods, how often a given one is not marked as possibly the best, % (at most 5):** "
        + ", ".join(f"{k} methods {percent(best_left_out(layouts['hmdb51'], k))}" for k in (2, 5, 10)) + "."
    )  # fmt: skip
    wrapped = [part if "\n|" in part else textwrap.fill(part, 120) for part in parts]
    return "\n\n".join(wrapped), main


def picture(main: dict[str, dict[int, dict[str, float]]], path: Path) -> None:
    """Draw the share of experiments in which a winner is declared between two equal methods."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 3.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    colours = {"t over splits": "#d9642c", "Nadeau-Bengio": "#888888", "t over classes": "#1f77b4"}
    for axes, (name, by_n) in zip(figure.subplots(1, 2, sharey=True), main.items(), strict=True):
        axes.axhline(5, color="black", linewidth=0.8, linestyle=":")
        for test, colour in colours.items():
            values = [100 * found[test] for found in by_n.values()]
            axes.plot(list(by_n), values, "o-", color=colour, label=test)
            for n, value in zip(by_n, values, strict=True):
                axes.annotate(f"{value:.0f}" if value > 10 else f"{value:.1f}", (n, value), color=colour, fontsize=8,
                              textcoords="offset points", ha="center",
                              xytext=(0, -13 if test == "Nadeau-Bengio" else 6))  # fmt: skip
        axes.set_title(f"{name}, xu-50/50", fontsize=10, loc="left")
        axes.set_xticks(list(by_n))
        axes.set_xlim(5, 55)
        axes.set_xlabel("splits")
        axes.set_ylim(-6, 80)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    figure.axes[0].set_ylabel("declares a winner between\ntwo equal methods, %")
    figure.axes[0].text(20, 5.5, "nominal 5 %", fontsize=7, ha="center", va="bottom")
    figure.axes[1].legend(frameon=False, fontsize=8, loc="center right")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path)


def main() -> None:
    """Measure, print, and write picture and tables into the docs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--docs", type=Path, default=DOCS)
    docs = parser.parse_args().docs
    text, rates = measure()
    print(text)
    picture(rates, docs / "images" / "statistics-false-positives.png")
    page = docs / "statistics.md"
    before, begin, rest = page.read_text(encoding="utf-8").partition("<!-- measured -->\n")
    _, end, after = rest.partition("<!-- end -->")
    if not end:
        raise SystemExit(f"refused: {page} lacks the marks <!-- measured --> and <!-- end -->")
    page.write_text(f"{before}{begin}\n{text}\n\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
