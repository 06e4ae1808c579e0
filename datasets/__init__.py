"""Built-in datasets: class lists, phrases and split families, each read from a JSON file under ``data``."""

from __future__ import annotations

from pathlib import Path

from zslbench.dataset import Dataset

DATA = Path(__file__).parent / "data"
KINETICS_FRAMES = (300.0, 0.08)  # ten seconds at 30 fps


def _read(name: str, frames_per_video: tuple[float, float]) -> Dataset:
    vectors = {"minilm": DATA / "minilm.npz"}
    return Dataset.read(DATA / f"{name}.json", vectors=vectors, frames_per_video=frames_per_video)


def hmdb51() -> Dataset:
    """Return HMDB51: 51 classes, 6,766 videos."""
    return _read("hmdb51", (80.0, 0.5))


def ucf101() -> Dataset:
    """Return UCF101: 101 classes in the official order, 13,320 videos."""
    return _read("ucf101", (165.0, 0.45))


def olympicsports16() -> Dataset:
    """Return Olympic Sports: 16 classes, 783 videos."""
    return _read("olympicsports16", (200.0, 0.6))


def kinetics400() -> Dataset:
    """Return Kinetics-400's classes."""
    return _read("kinetics400", KINETICS_FRAMES)


def kinetics600() -> Dataset:
    """Return Kinetics-600's classes, with the splits that train on Kinetics-400."""
    return _read("kinetics600", KINETICS_FRAMES)


def kinetics700() -> Dataset:
    """Return Kinetics-700's classes."""
    return _read("kinetics700", KINETICS_FRAMES)
