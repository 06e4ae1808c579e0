"""Class descriptions by a language model: a tiny local one, and an address on 127.0.0.1; and released files of them."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from clip_made import write_tokenizer
from tiny import make_features

from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.semantics.describing import PROMPT, ask_for_texts, ask_model
from zslbench.semantics.importing import import_classes
from zslbench.semantics.texts import Author, author_of_texts, imported_texts, open_texts, read_texts

HMDB51 = get_dataset("hmdb51")
AUTHOR = Author(model="a parrot", prompt="what is {}, in {n} lines?", created="2026-01-01")


@pytest.fixture
def address():
    """Serve OpenAI's protocol; yield the address and the requests so far. The word 'fail' is answered with an error."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.asked.append((self.path, self.headers.get("Authorization"), asked))
            answer = json.dumps({"choices": [{"message": {"content": "1. Somebody acts.\n2. hands\n3. a room"}}]})
            self.send_response(500 if asked["model"] == "fail" else 200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked = []
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1", server.asked
    server.shutdown()
    server.server_close()


def test_an_address_is_asked_once_per_class_and_the_audit_names_the_model(address, zslbench, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    url, asked = address
    line = ("texts", "describe", "hmdb51", "--name", "said", "--model", "gpt", "--address", url, "--lines", "3")
    code, out, err = zslbench(*line)
    assert code == 0, err
    assert "texts of 51 hmdb51 classes, by gpt" in out
    assert open_texts("said", HMDB51)["brush_hair"].all == ("Somebody acts.", "hands", "a room")
    assert len(asked) == 51
    path, key, body = asked[0]
    assert (path, key, body["model"], body["temperature"]) == ("/v1/chat/completions", "Bearer secret", "gpt", 0)
    assert body["messages"][0]["content"] == PROMPT.replace("{n}", "3").replace("{}", "brush hair")
    author = author_of_texts("said", HMDB51)
    assert (author.model, author.address, author.prompt) == ("gpt", url, PROMPT)
    assert "secret" not in next((tmp_path / "data-root" / "texts").rglob("*.json")).read_text()
    make_features()
    table = (list(HMDB51.classes), np.random.default_rng(0).normal(size=(51, 8)))
    import_classes("said-definition", tmp_path, {"hmdb51": table})  # the name of class vectors that were made of them
    run = ("run", "--method", "ridge", "--dataset", "hmdb51", "--features", "tiny", "--semantics", "said-definition")
    code, _, err = zslbench(*run, "--splits", "1", "--no-track", "--results", tmp_path / "runs")
    assert code == 0, err
    _, out, _ = zslbench("audit", "--results", tmp_path / "runs")
    assert "W21" in out
    assert "written by gpt" in out
    code, _, err = zslbench(*line)
    assert (code, len(asked)) == (2, 51)
    assert "has texts 'said' already" in err


def test_an_address_that_fails_is_one_sentence_and_nothing_is_stored(address, zslbench):
    url, _ = address
    code, _, err = zslbench("texts", "describe", "hmdb51", "--name", "said", "--model", "fail", "--address", url)
    assert code == 2
    assert "did not answer as OpenAI's protocol says" in err
    assert not imported_texts("hmdb51")


def test_an_interrupted_description_continues_and_asks_no_class_twice():
    asked = []

    def parrot(prompt):
        if len(asked) == 20:
            raise KeyboardInterrupt
        asked.append(prompt)
        return f"Somebody: {prompt}\nhands"

    with pytest.raises(KeyboardInterrupt):
        ask_for_texts("said", HMDB51, parrot, AUTHOR, lines=2)
    assert not imported_texts("hmdb51")
    made = ask_for_texts("said", HMDB51, lambda prompt: asked.append(prompt) or f"{prompt}\nhands", AUTHOR, lines=2)
    assert len(asked) == len(set(asked)) == 51
    assert list(made.classes) == list(HMDB51.classes)


def test_too_few_lines_and_a_prompt_without_a_place_for_the_class_are_refused():
    with pytest.raises(ZslbenchError, match="a parrot answered with 1 of 2 lines about brush_hair; use another prompt"):
        ask_for_texts("said", HMDB51, lambda prompt: "one", AUTHOR, lines=2)
    with pytest.raises(ZslbenchError, match="must contain {} once"):
        ask_for_texts("said", HMDB51, lambda prompt: "one", AUTHOR.model_copy(update={"prompt": "what?"}))


@pytest.mark.versions
def test_a_local_model_answers_with_its_likeliest_words(tmp_path, monkeypatch):
    transformers = pytest.importorskip("transformers")
    size = write_tokenizer(tmp_path)
    torch.manual_seed(0)
    ends = {"bos_token_id": size - 2, "eos_token_id": size - 1}
    config = transformers.GPT2Config(vocab_size=size, n_embd=16, n_layer=1, n_head=2, initializer_range=0.5, **ends)
    model = transformers.GPT2LMHeadModel(config).eval()
    model.save_pretrained(tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    monkeypatch.setattr("zslbench.semantics.describing._TOKENS", 6)
    got = ask_model(tmp_path)("run")
    tokens = tokenizer("run", return_tensors="pt")["input_ids"]
    before = tokens.shape[1]
    with torch.no_grad():
        while (tokens.shape[1] < before + 6 and tokens[0, -1] != size - 1) or tokens.shape[1] == before:
            tokens = torch.cat([tokens, model(tokens).logits[:, -1].argmax(-1, keepdim=True)], dim=1)
    assert got
    assert got == tokenizer.decode(tokens[0, before:], skip_special_tokens=True)
    (tmp_path / "config.json").unlink()
    with pytest.raises(ZslbenchError, match="cannot be read as a model that generates text"):
        ask_model(tmp_path)


def test_a_model_with_random_weights_describes_nothing(tmp_path):
    transformers = pytest.importorskip("transformers")
    size = write_tokenizer(tmp_path)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    transformers.BertModel(transformers.BertConfig(vocab_size=size, **small)).save_pretrained(tmp_path)
    with pytest.raises(ZslbenchError, match="lack .* of BertLMHeadModel: its texts would be random"):
        ask_model(tmp_path)


def test_numbered_classes_are_named_by_a_list_of_classes(tmp_path, zslbench):
    table = {str(i): [f"{name} in words", "hands"] for i, name in enumerate(HMDB51.classes)}
    path = tmp_path / "2_descriptors.json"
    path.write_text(json.dumps(table))
    with pytest.raises(ZslbenchError, match="numbers its classes; give --class-list FILE"):
        read_texts(path, HMDB51)
    code, _, err = zslbench("texts", "import", "hmdb51", path, "--class-list", "canonical", "--name", "theirs")
    assert code == 0, err
    assert open_texts("theirs", HMDB51)["wave"].definition == "wave in words"
    order = list(reversed(HMDB51.classes))
    (tmp_path / "classes.txt").write_text("".join(f"{i} {name}\n" for i, name in enumerate(order, 1)))
    found = read_texts(path, HMDB51, class_list=tmp_path / "classes.txt").classes
    assert found[order[0]].definition == f"{HMDB51.classes[0]} in words"
    path.write_text(json.dumps({key: table[key] for key in list(table)[:-1]}))
    with pytest.raises(ZslbenchError, match=r"has numbers for 50 classes \(0 to 49\)"):
        read_texts(path, HMDB51, class_list=tmp_path / "classes.txt")


@pytest.mark.parametrize(
    ("texts", "definition", "kinds"),
    [
        ({"definition": "A.", "attributes": ["b"], "scene": "c"}, "A.", {"attributes": ("b",), "scene": ("c",)}),
        ({"description": "A.", "objects": ["b"], "actions": {"1": "c", "0": "d"}}, "A.",
         {"objects": ("b",), "actions": ("d", "c")}),
        ({"spatio": ["A.", "b"], "temporal": ["c"]}, "A.", {"spatio": ("b",), "temporal": ("c",)}),
        ({"0": "A.", "10": "c", "2": "b"}, "A.", {"attributes": ("b", "c")}),
        (["A."], "A.", {}),
    ],
)  # fmt: skip
def test_texts_of_several_kinds_are_read_under_their_names(tmp_path, texts, definition, kinds):
    (tmp_path / "t.json").write_text(json.dumps(dict.fromkeys(HMDB51.classes, texts)))
    found = read_texts(tmp_path / "t.json", HMDB51).classes["run"]
    assert (found.definition, found.kinds) == (definition, kinds)
