"""Class vectors by CLIP's text tower."""

from __future__ import annotations

from pathlib import Path

from zslbench.datasets.catalog import get_dataset
from zslbench.digests import digest, file_sha256
from zslbench.semantics.importing import check_new_name, import_classes
from zslbench.semantics.store import SemanticsManifest
from zslbench.semantics.texts import SHIPPED, open_texts


def import_clip(
    name: str, folder: Path, dataset: str, templates: Path | None = None, texts: str | None = None
) -> SemanticsManifest:
    """Import the class vectors that CLIP's text tower gives a dataset's class names, and return the manifest.

    The vectors of the words of the class names and of the class texts are stored with them, without a template.

    Parameters
    ----------
    name
        The name of the new source. A later call can add another dataset to it.
    folder
        A CLIP model in transformers' format; nothing is downloaded.
    dataset
        The dataset of the class names; they are worded as in its table ``plain``.
    templates
        A text file with one prompt template per line; the built-in ones by default.
    texts
        Name of the class texts; by default the shipped ones, if the dataset has any.

    Raises
    ------
    ZslbenchError
        The name is taken, transformers is missing, or the folder or the templates cannot be used.
    """
    from zslbench.video.backbones.clip import TEMPLATES, WEIGHTS, class_vectors, read_templates

    check_new_name(name)
    found = get_dataset(dataset)
    prompts = tuple(read_templates(templates)) if templates else TEMPLATES
    phrases = [found.phrase(each) for each in found.classes]
    vectors = class_vectors(folder, phrases, prompts)
    chosen = texts or (SHIPPED if found.texts_file else None)
    said = [text for each in open_texts(chosen, found).values() for text in each.all] if chosen else []
    words = list(dict.fromkeys([*said, *(word for phrase in phrases for word in phrase.split())]))
    known = (words, class_vectors(folder, words, ("{}",)))
    weights = file_sha256(folder / WEIGHTS)[:12]
    note = f"CLIP's text tower, weights {weights}, {len(prompts)} templates {digest(prompts)[:12]}"
    return import_classes(name, folder, {found.name: (list(found.classes), vectors)}, note, known)
