"""Class descriptions by a language model: a local one of transformers, or an address that speaks OpenAI's protocol."""

from __future__ import annotations

import datetime
import importlib
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from zslbench.datasets.dataset import Dataset
from zslbench.digests import digest
from zslbench.errors import ZslbenchError, some
from zslbench.files import data_root, new_file, read_json
from zslbench.semantics.encoded import check_tokenizer
from zslbench.semantics.texts import Author, Texts, TextsRecord, check_new_texts, save_texts

PROMPT = (
    "Describe the action '{}' so that somebody who sees a video without sound can recognise it. Write {n} lines and "
    "nothing else. The first line is one sentence that says what a person does. Each other line is a short phrase for "
    "something that can be seen: objects, the place, parts of the body, movements. Use no numbers and no bullets."
)
KEY = "OPENAI_API_KEY"  # the variable with the key of an address that wants one
_TOKENS = 512  # of an answer
_SECONDS = 120  # until an address must have answered
_MARK = re.compile(r"^\s*(?:[-*\u2022]|\(?\d+[.):])\s*")  # a bullet or a number before a line
Ask = Callable[[str], str]


def ask_for_texts(
    name: str, dataset: Dataset, ask: Ask, author: Author, *, lines: int = 6, uneven: bool = False,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> TextsRecord:  # fmt: skip
    r"""Ask for the description of every class, store the texts under a name, and return them.

    What was answered is kept beside the texts until all classes are done, so that the same call continues after an
    interruption.

    Parameters
    ----------
    ask
        Function of a prompt to an answer.
    author
        Who answers, and the prompt, with ``{}`` for the class and ``{n}`` for the number of lines.
    lines
        Texts per class: a definition and ``lines - 1`` attributes.
    uneven
        Whether to keep classes with fewer lines.

    Raises
    ------
    ZslbenchError
        The name is taken, the prompt has no ``{}``, or an answer has too few lines.

    Examples
    --------
    >>> from zslbench.datasets.catalog import get_dataset
    >>> author = Author(model="a parrot", prompt="{}", created="2026-01-01")
    >>> said = lambda prompt: f"Somebody: {prompt}.\na person"
    >>> made = ask_for_texts("said", get_dataset("hmdb51"), said, author, lines=2)
    >>> made.classes["brush_hair"].all
    ('Somebody: brush hair.', 'a person')
    """
    check_new_texts(name, dataset)
    if author.prompt.count("{}") != 1:
        raise ZslbenchError("the prompt must contain {} once, in the place of the class; {n} is the number of lines.")
    who = digest([author.model_dump(exclude={"created"}), lines, dataset.digest])
    kept = data_root() / "texts" / dataset.name / f".{name}-{who[:12]}.json"
    answers: dict[str, str] = read_json(kept) if kept.is_file() else {}
    for place, class_name in enumerate(dataset.classes):
        progress(place, len(dataset.classes))
        if class_name in answers:
            continue
        answer = ask(author.prompt.replace("{n}", str(lines)).replace("{}", dataset.phrase(class_name)))
        if not (found := lines_of(answer, lines)) or (len(found) < lines and not uneven):
            raise ZslbenchError(
                f"{author.model} answered with {len(found)} of {lines} lines about {class_name}; use another prompt "
                f"(--prompt FILE), fewer --lines, or --uneven. What was answered before is kept."
            )
        answers[class_name] = answer
        with new_file(kept) as work:
            work.write_text(json.dumps(answers, ensure_ascii=False, indent=1), encoding="utf-8")
    classes = {each: Texts.model_validate(lines_of(answers[each], lines)) for each in dataset.classes}
    made = save_texts(name, TextsRecord(dataset=dataset.name, author=author, classes=classes))
    kept.unlink()
    return made


def lines_of(answer: str, count: int) -> list[str]:
    r"""Return the first lines of an answer, without bullets, numbers, quotation marks, headings and repetitions.

    Examples
    --------
    >>> lines_of("Sure, here you are:\n1. Somebody runs.\n2. shoes\n3. shoes\n\n- a road", 3)
    ['Somebody runs.', 'shoes', 'a road']
    """
    found = [_MARK.sub("", line).strip().strip("\"'") for line in answer.splitlines()]
    return list(dict.fromkeys(line for line in found if line and not line.endswith(":")))[:count]


def ask_model(folder: Path) -> Ask:
    """Return a local model of transformers that answers; it always takes the likeliest next token.

    Raises
    ------
    ZslbenchError
        transformers is missing, or cannot read the folder as a model that generates text.
    """
    import torch

    from zslbench.files import reading

    try:
        transformers: Any = importlib.import_module("transformers")
    except ImportError as error:
        raise ZslbenchError("transformers is missing; run: pip install 'zslbench[clip]'.") from error
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    says = f"{folder} cannot be read as a model that generates text"
    with reading(folder / "config.json", "give a folder that save_pretrained wrote, with its tokenizer", says=says):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        found: Any = transformers.AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    model, told = found
    if missing := sorted(told["missing_keys"]):
        raise ZslbenchError(
            f"the weights in {folder} lack {some(missing, 4)} of {type(model).__name__}: its texts would be random; "
            f"use a model that was trained to generate text."
        )
    check_tokenizer(tokenizer, folder)
    model.eval()

    def ask(prompt: str) -> str:
        if tokenizer.chat_template:
            message = [{"role": "user", "content": prompt}]
            prompt = str(tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True))
        tokens = tokenizer(prompt, return_tensors="pt", add_special_tokens=not tokenizer.chat_template)
        inputs = {key: tokens[key] for key in ("input_ids", "attention_mask")}
        with torch.inference_mode():
            answer = model.generate(**inputs, max_new_tokens=_TOKENS, do_sample=False)
        return str(tokenizer.decode(answer[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))

    return ask


def ask_address(address: str, model: str) -> Ask:
    """Return the model at an address that speaks OpenAI's protocol, such as ``http://127.0.0.1:8000/v1``.

    The key is read from ``OPENAI_API_KEY``, if there is one, and is not stored.
    """
    import requests

    url = f"{address.rstrip('/')}/chat/completions"
    headers = {"Authorization": f"Bearer {key}"} if (key := os.environ.get(KEY)) else {}

    def ask(prompt: str) -> str:
        body: Any = {"model": model, "messages": [{"role": "user", "content": prompt}], "temperature": 0}
        try:
            answer = requests.post(url, json=body, headers=headers, timeout=_SECONDS)
            answer.raise_for_status()
            text = answer.json()["choices"][0]["message"]["content"]
        except (requests.RequestException, ValueError, KeyError, IndexError, TypeError) as error:
            raise ZslbenchError(
                f"{url} did not answer as OpenAI's protocol says ({type(error).__name__}: {error}); check the address, "
                f"the --model and {KEY}. What was answered before is kept."
            ) from error
        return str(text)

    return ask


def author_of(model: str, prompt: str | None, source: Mapping[str, str]) -> Author:
    """Return who writes the texts, now; ``source`` has a revision or an address."""
    now = datetime.datetime.now(datetime.UTC).date().isoformat()
    return Author(model=model, prompt=prompt or PROMPT, created=now, **source)
