"""Faults of what a run reads: damaged features and class vectors, imports that end halfway, names that do harm."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from random import Random

import numpy as np
from faults.damage import BYTES
from faults.hostile import NAMES, UNSEEN
from faults.judge import Verdict, compared, heard, swept
from faults.steps import FAULTS, child, nothing, steps_of, vanish
from faults.world import World, say

from zslbench.datasets.catalog import get_dataset
from zslbench.features.catalog import open_features

KINDS: dict[str, Callable[[World, Random, Verdict], None]] = {}


def kind(name: str) -> Callable[[Callable[[World, Random, Verdict], None]], None]:
    """Register a kind of fault."""

    def register(function: Callable[[World, Random, Verdict], None]) -> None:
        KINDS[name] = function

    return register


@kind("inputs: features or class vectors damaged")
def _damaged(world: World, rng: Random, verdict: Verdict) -> None:
    world.reset()
    missing = rng.choice(sorted(world.before))
    shutil.rmtree(world.runs / "cells" / missing)
    files = sorted(path for path in world.data.rglob("*") if path.is_file() and path.stat().st_size > 1)
    verdict.what = rng.choice(list(BYTES.values()))(rng.choice(files), rng)
    said = world.run()
    heard(verdict, said, "run", 0, 1, 2)
    verdict.named = said.code != 0
    compared(verdict, world, {missing} if said.code else set(), "after the fault", failed=said.code == 1)
    heard(verdict, world.say("leaderboard"), "leaderboard")
    shutil.rmtree(world.data)
    shutil.copytree(world.pristine / "data", world.data)
    heard(verdict, world.run(), "run again")
    compared(verdict, world, set(), "after the next run")
    swept(verdict, world)


@kind("inputs: import disturbed at one step")
def _import(world: World, rng: Random, verdict: Verdict) -> None:
    world.reset()
    features = open_features(get_dataset("hmdb51"), "tiny")
    table, array = world.place / "videos.csv", world.place / "features.npy"
    names = [features.dataset.classes[i] for i in features.labels]
    table.write_text("video,class\n" + "".join(f"{v},{c}\n" for v, c in zip(features.ids, names, strict=True)))
    np.save(array, features.store.pooled())
    how = ("--features", array, "--videos", table, "--extractor", "test")
    command = ("features", "import", "hmdb51", "other", *how)
    replaces = rng.random() < 0.5
    if replaces:
        heard(verdict, say(*command), "features import")
    state, command = ("there", (*command, "--replace")) if replaces else ("not there", command)
    steps = steps_of(world, f"import, {state}", *command)
    if not replaces:
        shutil.rmtree(world.data / "features" / "hmdb51" / "other", ignore_errors=True)
    name, step = rng.choice(sorted(FAULTS)), rng.randint(1, steps)
    verdict.what = f"{name} at step {step} of {steps}, {state}"
    make, codes = FAULTS[name]
    fault = vanish(world.data / "features") if name == "folders vanish" else make(world, rng)
    said = child(world, fault, step, *command)
    heard(verdict, said, "features import", *codes)
    verdict.named = said.code != 0
    there = (world.data / "features" / "hmdb51" / "other").exists()
    if replaces and not there and name != "folders vanish":
        verdict.blame("lost", "the feature set")
    if there:
        heard(verdict, say("features", "verify", "hmdb51", "other"), "features verify")
    again = say(*command, *(() if replaces or not there else ("--replace",)))
    heard(verdict, again, "features import again")
    heard(verdict, say("features", "verify", "hmdb51", "other"), "features verify")
    compared(verdict, world, set(), "after the import")


@kind("names: hostile names of classes and videos")
def _names(world: World, rng: Random, verdict: Verdict) -> None:
    """Bring names through every verb; an import may refuse them in one sentence."""
    world.reset()
    chosen = rng.sample(sorted(NAMES.values()), 3) + rng.sample(sorted(UNSEEN.values()), rng.randint(0, 1))
    classes = [*chosen, "run", "walk", "jump", "climb stairs"]
    verdict.what = ascii(chosen)
    quoted = ", ".join(_toml(name) for name in classes)
    words = ("wave", "kick", "sit", "stand")
    phrases = "".join(f'{_toml(name)} = "{word}"\n' for name, word in zip(chosen, words, strict=False))
    description = world.place / "mine.toml"
    text = f"display_name = {_toml(chosen[0])}\nclasses = [{quoted}]\n[phrases]\n{phrases}"
    description.write_text(text, encoding="utf-8", errors="surrogatepass")
    shutil.rmtree(world.data / "datasets", ignore_errors=True)
    said = say("datasets", "add", "mine", "--file", description)
    heard(verdict, said, "datasets add", 0, 2)
    verdict.named = said.code != 0
    if said.code:
        return
    array = np.random.default_rng(0).normal(size=(6 * len(classes), 8)).astype(np.float32)
    np.save(world.place / "array.npy", array)
    rows = "".join(f'"{_csv(name)} {i}","{_csv(name)}"\n' for name in classes for i in range(6))
    (world.place / "mine.csv").write_text("video,class\n" + rows, encoding="utf-8", errors="surrogatepass")
    said = say("features", "import", "mine", "own", "--features", world.place / "array.npy", "--videos",
               world.place / "mine.csv", "--extractor", chosen[1], "--note", chosen[2])  # fmt: skip
    heard(verdict, said, "features import", 0, 2)
    verdict.named = said.code != 0
    if said.code:
        return
    results = ("--results", world.place / "named")
    shutil.rmtree(world.place / "named", ignore_errors=True)
    run = ("run", "--method", "ridge", "--method", "conse", "--dataset", "mine", "--family", "random-50/50", "--inline")
    heard(verdict, say(*run, "--no-track", *results), "run")
    for verb in (("leaderboard",), ("compare",), ("audit",)):
        for fmt in ("console", "markdown", "latex", "html", "csv", "json"):
            heard(verdict, say(*verb, "--format", fmt, *results), f"{verb[0]} {fmt}", 0, 2)
    heard(verdict, say("results", "verify", *results), "results verify")
    heard(verdict, say("features", "list"), "features list")
    if rng.random() < 0.3:  # slow: pictures, and MLflow
        heard(verdict, say("report", *results, "--out", world.place / "report.html"), "report")
        heard(verdict, child(world, nothing, -1, "track", "sync", *results), "track sync")


def _toml(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" if ord(c) < 65536 else c for c in escaped) + '"'


def _csv(text: str) -> str:
    return text.replace('"', '""')
