"""Measure every method's default at several numbers of seen videos: the table of ``docs/performance.md``.

Run ``python tools/measure_sizes.py CACHE.jsonl`` again and again: each measurement is a line of CACHE.jsonl, and one
that is there is not repeated. The smallest sizes come first. ``--write`` puts what the cache has into the page.

The features are simulated ones of Kinetics-400 in the data root, 128 values, made where they are missing: pooled or
sequences, as the method wants. A random half of the classes is seen, the other half is the test, of equally many
videos. A method that compares features with texts gets made-up word vectors, 128 random values for each word of the
names and texts, since only their number matters here. One that scores trained classes only is measured in the protocol
``supervised``, on all classes. Each measurement is a process of its own and ends after ``--cap`` seconds of processor
time.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "performance.md"
MARKS = "<!-- sizes -->", "<!-- end of sizes -->"
PER_CLASS = {6_800: 34, 60_000: 300, 120_000: 600}  # seen videos -> videos of each of 400 classes
VARIANTS = ("tzs:transductive", "tzs:transductive smoothness=0.3")  # measured beside every method's default
CAP = 300
Record = dict[str, Any]


def measure(method: str, videos: int) -> Record:
    """Return what one fit and the scores of the test videos take, in this process."""
    from zslbench.features.simulated import DIM
    from zslbench.method import Report
    from zslbench.registry import get_method
    from zslbench.run.evaluate import evaluate
    from zslbench.run.experiment import make_experiment
    from zslbench.run.fitness import compares
    from zslbench.run.plan import make_plan

    label, _, setting = method.partition(" ")
    name, _, value = setting.partition("=")
    settings = {
        "method": label, "dataset": "kinetics400", "features": features_of(videos), "family": "random-50/50",
        "splits": "1", "set": {label: {name: float(value)}} if setting else {},
    }  # fmt: skip
    if compares(get_method(label)(), DIM):
        settings["semantics"] = made_up_words()
    if get_method(label).info.scores == "trained":
        settings |= {"protocol": "supervised", "family": "supervised-lists"}
    report = Report()
    before = time.process_time()
    outcome = evaluate(make_plan(make_experiment(settings)).cells[0], report)
    return {
        "seconds": round(time.process_time() - before, 2),
        "wall_fit": round(outcome.result.fit_seconds or 0, 2),
        "wall_score": round(outcome.result.score_seconds or 0, 2),
        "top1_per_class": outcome.result.metrics["top1_per_class"],
        "notes": report.notes,
    }


def features_of(videos: int) -> str:
    """Return the name of the simulated feature set with so many seen videos; it is made where it is missing."""
    from zslbench.datasets.catalog import get_dataset
    from zslbench.features.simulated import simulate

    name = f"sizes-{PER_CLASS[videos]}"
    simulate(get_dataset("kinetics400"), name=name, videos_per_class=PER_CLASS[videos])
    return name


def made_up_words() -> str:
    """Return the name of a source of word vectors with as many values as the features; it is made where missing."""
    from zslbench.datasets.catalog import get_dataset
    from zslbench.features.simulated import DIM
    from zslbench.semantics.importing import import_semantics
    from zslbench.semantics.store import list_semantics
    from zslbench.semantics.texts import open_texts

    name, dataset = "sizes-words", get_dataset("kinetics400")
    if name not in (each.name for each in list_semantics()):
        texts = [text for each in open_texts("shipped", dataset).values() for text in each.all]
        phrases = [phrase for edited in dataset.phrases.values() for phrase in edited.values()]
        said = " ".join(texts + phrases).lower()
        words = sorted({*said.split(), *re.findall(r"\w+", said)})
        vectors = np.random.default_rng(0).normal(size=(len(words), DIM))
        with TemporaryDirectory() as folder:
            path = Path(folder) / "words.txt"
            rows = zip(words, vectors.tolist(), strict=True)
            path.write_text("".join(f"{word} {' '.join(map(str, row))}\n" for word, row in rows))
            import_semantics(name, path)
    return name


def measured(method: str, videos: int, cap: int) -> Record:
    """Return the record of a process that measures, whatever becomes of it."""
    command = [sys.executable, __file__, "--one", method, "--videos", str(videos)]
    features_of(videos)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (cap, cap))

    before = children_seconds()
    with TemporaryFile() as output, TemporaryFile() as errors:
        child = subprocess.Popen(command, stdout=output, stderr=errors, preexec_fn=limited)
        peak = watch(child.pid)
        child.wait()
        said, complained = (file.seek(0) or file.read().decode().strip().splitlines() for file in (output, errors))
    spent = children_seconds() - before
    record = {"method": method, "videos": videos, "peak_mb": round(peak / 2**20)}
    if child.returncode == 0:
        return record | json.loads(said[-1])
    if child.returncode in (-signal.SIGXCPU, -signal.SIGKILL) and spent > 0.9 * cap:
        return record | {"over": cap}
    return record | {"failed": complained[-1][:200] if complained else f"exit code {child.returncode}"}


def children_seconds() -> float:
    """Return the processor seconds of the child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def watch(pid: int) -> int:
    """Return the greatest resident memory of a process while it runs, in bytes."""
    import psutil

    peak = 0
    try:
        process = psutil.Process(pid)
        while process.status() != psutil.STATUS_ZOMBIE:
            peak = max(peak, process.memory_info().rss)
            time.sleep(0.05)
    except psutil.Error:
        pass
    return peak


def table(records: Iterable[Record], methods: Sequence[str]) -> str:
    """Return the Markdown table of the records, a row per method; cells that were not measured have a dash."""
    found = {(each["method"], each["videos"]): each for each in records}
    heads = [f"{n:,} videos: s, MiB" for n in PER_CLASS]
    lines = ["| method | " + " | ".join(heads) + " | growth |", "|---|" + "---|" * (len(heads) + 1)]
    for method in methods:
        row = [found.get((method, n)) for n in PER_CLASS]
        lines.append(f"| `{method}` | " + " | ".join(map(cell, row)) + f" | {growth(row)} |")
    return "\n".join(lines)


def cell(record: Record | None) -> str:
    """Return the text of one measurement."""
    if record is None:
        return "-"
    if "over" in record:
        return f"over {record['over']}"
    if "failed" in record:
        return "refused"
    return (
        f"{record['seconds']:.0f}, {record['peak_mb']:,}"
        if record["seconds"] >= 10
        else (f"{record['seconds']:.1f}, {record['peak_mb']:,}")
    )


def growth(row: Sequence[Record | None]) -> str:
    """Return the exponent p of seconds ~ videos^p between the smallest and the greatest size that ended."""
    ended = [each for each in row if each and "seconds" in each]
    if len(ended) < 2:
        return "-"
    first, last = ended[0], ended[-1]
    return f"{math.log(last['seconds'] / first['seconds']) / math.log(last['videos'] / first['videos']):.1f}"


def write(records: Iterable[Record], methods: Sequence[str]) -> None:
    """Replace the table between the marks of the page."""
    text = PAGE.read_text()
    before, rest = text.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    PAGE.write_text(f"{before}{MARKS[0]}\n\n{table(records, methods)}\n\n{MARKS[1]}{after}")


def main() -> None:
    """Measure what the cache lacks, or write the page."""
    from zslbench.registry import METHODS, get_method

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", nargs="?", type=Path, help="JSON lines, one a measurement")
    parser.add_argument("--method", action="append", help="only these methods")
    parser.add_argument("--videos", type=int, choices=PER_CLASS, action="append", help="only these numbers")
    parser.add_argument("--cap", type=int, default=CAP, help="seconds of processor time per measurement")
    parser.add_argument("--write", action="store_true", help="write the table into the page, measure nothing")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.videos[0])))
        return
    if options.cache is None:
        parser.error("name the file of measurements")
    # Sequences last: they take longest.
    every = sorted(METHODS.names(), key=lambda name: (get_method(name).info.wants == "sequences", name))
    records = [json.loads(line) for line in options.cache.read_text().splitlines()] if options.cache.exists() else []
    if options.write:
        write(records, [*every, *VARIANTS])
        return
    known = {(each["method"], each["videos"]) for each in records}
    for videos in options.videos or PER_CLASS:
        for method in options.method or [*every, *VARIANTS]:
            if (method, videos) in known:
                continue
            record = measured(method, videos, options.cap)
            print(method, f"{videos:,}", cell(record), record.get("failed", ""), flush=True)
            with options.cache.open("a") as file:
                file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
