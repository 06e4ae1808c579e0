"""Pickles of plain data are read; anything else in a pickle is refused by its name, and nothing of it runs."""

import collections
import copyreg
import datetime
import os
import pickle
import pickletools
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
from toy_features import IDS, POOLED, RAGGED, TOY, bring, frames_of, refused

from zslbench.datasets import pickles
from zslbench.datasets.pickles import load_plain
from zslbench.errors import ZslbenchError
from zslbench.features.catalog import open_features

pytestmark = pytest.mark.versions

PROTOCOLS = range(6)
RNG = np.random.default_rng(0)
PLAIN = {
    "dict of arrays": dict(zip(IDS, RAGGED, strict=True)),
    "list of arrays": list(RAGGED),
    "numbers": [1, -2, 2**40, 2**80, 1.5, float("inf"), True, False, None],
    "strings": ["a", "é", "", b"bytes", b"", b"\xff\x00"],
    "nested": {"a": {"b": [{"c": (1, 2, 3, 4)}, ()]}, 3: [], (1, "x"): {}},
    "columns": np.asfortranarray(RNG.normal(size=(3, 4))),
    "strided": RNG.normal(size=(6, 4))[::2],
    "big-endian": RNG.normal(size=(3, 4)).astype(">f4"),
    "empty": np.empty((0, 4), np.float16),
    "0-d": np.array(3.0),
    "scalars": [np.float32(2.5), np.int64(-3), np.bool_(True), np.str_("x")],
    "texts": np.array(["ab", "c"]),
    "bools": np.array([True, False]),
    "shared": [POOLED, POOLED],
    "ordered": collections.OrderedDict(a=1, b=2),
}


def same(one, other):
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other and type(other) is type(one.item() if isinstance(one, np.generic) else one)


@pytest.mark.parametrize("kind", PLAIN)
def test_plain_data_comes_back_as_pickle_reads_it(kind):
    for protocol in PROTOCOLS:
        assert same(PLAIN[kind], load_plain(pickle.dumps(PLAIN[kind], protocol), "f.pkl")), protocol


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_of_objects_come_back_as_lists(protocol):
    objects = np.empty(3, dtype=object)
    objects[:] = [RAGGED[0], "x", {"a": 1}]
    assert same([RAGGED[0], "x", {"a": 1}], load_plain(pickle.dumps(objects, protocol), "f.pkl"))


def test_a_pickle_of_python_2():
    """What ``cPickle.dumps({'a': numpy.arange(2.)}, 2)`` wrote there."""
    raw = struct.pack("<2d", 0.0, 1.0)
    saved = (
        b"\x80\x02}q\x01U\x01acnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85U\x01b\x87Rq\x04"
        b"(K\x01K\x02\x85cnumpy\ndtype\nq\x05U\x02f8K\x00K\x01\x87Rq\x06(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
        b"K\x00tb\x89U\x10" + raw + b"tbs."
    )
    assert same({"a": np.arange(2.0)}, load_plain(saved, "f.pkl"))


# --- what must not run ------------------------------------------------------------------------------------------------


class Calls:
    """Pickled as a call of a function."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


class Plain:
    pass


def touch(path):
    return f"open({str(path)!r}, 'w')"


HOSTILE = {
    "system": (lambda path: Calls(os.system, f"touch {path}"), f"{os.system.__module__}.system"),
    "eval": (lambda path: Calls(eval, touch(path)), "builtins.eval|__builtin__.eval"),
    "exec": (lambda path: Calls(exec, touch(path)), "builtins.exec|__builtin__.exec"),
    "getattr": (lambda path: Calls(getattr, "os", "system"), "getattr"),
    "popen": (
        lambda path: Calls(subprocess.Popen, ["touch", str(path)]),
        "(subprocess|commands).Popen",
    ),  # the second is its name in protocols 0 to 2
    "numpy.load": (lambda path: Calls(np.load, "x.npy"), "numpy.*load"),
    "numpy.fromfile": (lambda path: Calls(np.loadtxt, "/etc/passwd"), "numpy.*loadtxt"),
    "numpy.memmap": (lambda path: Calls(np.memmap, str(path), "uint8", "w+", 0, (1,)), "memmap"),
    "import": (lambda path: Calls(__import__, "os"), "__import__"),
    "open": (lambda path: Calls(open, str(path), "w"), "open"),
    "object": (lambda path: Plain(), "Plain|copy_?reg._reconstructor"),
    "date": (lambda path: datetime.date(2020, 1, 1), "datetime.date"),
    "set": (lambda path: {1, 2}, "set|EMPTY_SET"),
    "function": (lambda path: os.path.join, "join"),
    "module of numpy": (lambda path: np.random.default_rng, "default_rng"),
    "masked": (lambda path: np.ma.array([1.0]), "numpy.ma"),
    "default dict": (lambda path: collections.defaultdict(list), "collections.defaultdict"),
}


def wrapped(held, how):
    match how:
        case "alone":
            return held
        case "in a dict":
            return {"features": POOLED, "extra": [held]}
        case "in an array":
            array = np.empty(2, dtype=object)
            array[:] = [POOLED, held]
            return array
    raise AssertionError(how)


@pytest.mark.parametrize("how", ["alone", "in a dict", "in an array"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_other_objects_are_refused_by_name_and_not_run(tmp_path, kind, how):
    make, wanted = HOSTILE[kind]
    target = tmp_path / "touched"
    for protocol in PROTOCOLS:
        saved = pickle.dumps(wrapped(make(target), how), protocol)
        with pytest.raises(ZslbenchError, match=f"wants .*({wanted})"):
            load_plain(saved, "f.pkl")
    assert not target.exists()


MARK, STOP = b"(", b"."
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
NDARRAY, DTYPE = b"cnumpy\nndarray\n", b"cnumpy\ndtype\n"


def deep(n):
    return b"\x80\x02" + b"]" * n + b"a" * (n - 1) + STOP


def laughs(levels):
    """Each list holds the list before it ten times."""
    body = b"\x80\x02]q\x00"
    for i in range(levels):
        body += b"](" + (b"h" + bytes([i])) * 10 + b"eq" + bytes([i + 1])
    return body + STOP


WRONG = {
    "nothing": b"",
    "no stop": b"\x80\x02]",
    "garbage": b"\xff\xfe\xfd",
    "no value": STOP,
    "two values": b"NN.",
    "a mark only": b"(.",
    "a global only": DTYPE + STOP,
    "reduce of a tuple": b"))R.",
    "reduce of a string": b"U\x01a)R.",
    "reduce with a list": DTYPE + b"]R.",
    "call of ndarray": NDARRAY + b")R.",
    "call of a made array": RECONSTRUCT + NDARRAY + b"K\x00\x85U\x01b\x87R)R.",
    "build of a dict": b"}}b.",
    "build of a list": b"]}b.",
    "build of a global": DTYPE + b"}b.",
    "build of nothing": b"b.",
    "build of an array with a dict": RECONSTRUCT + NDARRAY + b"K\x00\x85U\x01b\x87R}b.",
    "array without values": RECONSTRUCT + NDARRAY + b"K\x00\x85U\x01b\x87R.",
    "reconstruct of dtype": RECONSTRUCT + DTYPE + b"K\x00\x85U\x01b\x87R.",
    "structured dtype": DTYPE + b"U\x05f4,f4K\x00K\x01\x87R.",
    "date dtype": DTYPE + b"U\x02M8K\x00K\x01\x87R.",
    "void dtype": DTYPE + b"U\x04V100K\x00K\x01\x87R.",
    "huge string dtype": DTYPE + b"U\x0aU999999999K\x00K\x01\x87R.",
    "append to a dict": b"}Na.",
    "items of a list": b"](NNu.",
    "odd items": b"}(Nu.",
    "list as a key": b"}]Ns.",
    "unknown memo": b"h\x07.",
    "pop of nothing": b"0.",
    "mark that is not there": b"t.",
    "encode to a codec that runs": b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00hex\x86R.",
    "bytes of a number": b"cbuiltins\nbytes\nJ\xff\xff\xff\x7f\x85R.",
    "huge string": b"\x8d" + struct.pack("<Q", 1 << 60) + b"abc.",
    "huge bytes": b"\x8e" + struct.pack("<Q", 1 << 40) + b"abc.",
    "huge bytearray": b"\x96" + struct.pack("<Q", 1 << 40) + b"abc.",
    "huge number": b"\x8b" + struct.pack("<i", 2**31 - 1) + b"abc.",
    "huge memo": b"\x80\x02Nr\xff\xff\xff\xff0.",
    "persistent id": b"Pid\n.",
    "binary persistent id": b"NQ.",
    "extension 1": b"\x82\x01.",
    "extension 2": b"\x83\x01\x00.",
    "extension 4": b"\x84\x01\x00\x00\x00.",
    "out-of-band buffer": b"\x80\x05\x97.",
    "read-only buffer": b"\x80\x05N\x98.",
    "instance": b"(ios\nsystem\n.",
    "instance of a known name": b"(inumpy\ndtype\n.",
    "object": b"(" + DTYPE + b"o.",
    "new object": DTYPE + b")\x81.",
    "new object with names": DTYPE + b")}\x92.",
    "stack global of numbers": b"\x80\x04K\x01K\x02\x93.",
    "stack global of lists": b"\x80\x04]]\x93.",
    "dotted name": b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93.",
    "module with a line break": b"\x80\x04\x8c\x06numpy\n\x8c\x05dtype\x93.",
    "frozen set": b"\x80\x04(\x91.",
    "nested deeply": deep(1000),
    "nested very deeply": deep(50_000),
    "nested tuples as a key": b"\x80\x02}" + b")" + b"\x85" * 5000 + b"Ns.",
    "billion laughs": laughs(18),
    "a list in itself": b"]q\x00h\x00a.",
    "a dict in itself": b"}q\x00K\x01h\x00s.",
    "two pickles": pickle.dumps(POOLED) + pickle.dumps(POOLED),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_hostile_or_damaged_pickle_is_one_sentence_in_little_time_and_memory(tmp_path, csv, kind):
    (tmp_path / "f.pkl").write_bytes(WRONG[kind])
    start = time.process_time()
    said = refused(tmp_path / "f.pkl", csv)
    assert "f.pkl" in said
    assert time.process_time() - start < 3


def test_every_opcode_is_read_or_refused():
    """A new opcode of a later Python is refused until it is known."""
    read = {*pickles._ARGUMENTS, *pickles._VALUES, *pickles._DO, "PROTO", "FRAME", "STOP"}
    refused = {"PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"}
    refused |= {"NEXT_BUFFER", "READONLY_BUFFER", "EMPTY_SET", "ADDITEMS", "FROZENSET"}
    assert read.isdisjoint(refused)
    assert {opcode.name for opcode in pickletools.opcodes} <= read | refused


def test_an_extension_code_is_refused_though_it_is_registered():
    copyreg.add_extension("os", "system", 240)
    try:
        with pytest.raises(ZslbenchError, match="wants the opcode EXT1"):
            load_plain(b"\x82\xf0.", "f.pkl")
    finally:
        copyreg.remove_extension("os", "system", 240)


def test_out_of_band_buffers_are_refused():
    buffers = []
    saved = pickle.dumps(POOLED, 5, buffer_callback=buffers.append)
    with pytest.raises(ZslbenchError, match="wants the opcode (NEXT|READONLY)_BUFFER"):
        load_plain(saved, "f.pkl")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pickle_that_ends_anywhere_is_refused(protocol):
    whole = pickle.dumps({"v": POOLED, "w": ["x", 1.5]}, protocol)
    for n in range(0, len(whole) - 1, 7):
        with pytest.raises((ZslbenchError, ValueError)):
            load_plain(whole[:n], "f.pkl")


def test_changed_bytes_are_read_or_refused_but_never_anything_else():
    """Thousands of damaged pickles raise nothing but the two errors that the importer reports."""
    rng = np.random.default_rng(0)
    whole = [pickle.dumps({"v": POOLED, "w": ["x", np.float32(1.5)]}, protocol) for protocol in PROTOCOLS]
    errors = collections.Counter()
    for _ in range(3000):
        content = bytearray(whole[rng.integers(len(whole))])
        content[rng.integers(len(content))] = rng.integers(256)
        try:
            load_plain(bytes(content), "f.pkl")
        except Exception as error:
            errors[type(error)] += 1
    assert all(issubclass(error, ZslbenchError | ValueError | OverflowError) for error in errors)  # UnicodeError, too
    assert errors[ValueError] > 100


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("MOST_BYTES", 10, "and the limit is 10"),
        ("MOST_OPCODES", 5, "more than 5 opcodes"),
        ("MOST_LEVELS", 1, "than 1"),
    ],
)
def test_limits(monkeypatch, limit, value, message):
    monkeypatch.setattr(pickles, limit, value)
    with pytest.raises(ValueError, match=message):
        load_plain(pickle.dumps([[[1.0] * 20] * 3]), "f.pkl")


def test_nothing_is_imported_for_a_name():
    code = (
        "import sys; from zslbench.datasets.pickles import load_plain\n"
        "try: load_plain(b'cantigravity\\nfly\\n.', 'f')\n"
        "except Exception as error: print(type(error).__name__, 'antigravity' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert run.stdout == "ZslbenchError False\n"


# --- as features ------------------------------------------------------------------------------------------------------


def stored():
    return frames_of(open_features(TOY, "x"))


def save_pickle(path, held):
    if path.suffix == ".npy":
        array = np.empty((), dtype=object) if isinstance(held, dict) else np.empty(len(held), dtype=object)
        array[... if isinstance(held, dict) else slice(None)] = held
        np.save(path, array, allow_pickle=True)
    elif path.suffix == ".npz":
        array = np.empty((), dtype=object)
        array[...] = held
        np.savez(path, data=array)
    else:
        path.write_bytes(pickle.dumps(held))
    return path


@pytest.mark.parametrize("file", ["f.pkl", "f.pickle", "f.npy", "f.npz"])
@pytest.mark.parametrize(
    "held",
    [
        dict(zip(IDS, RAGGED, strict=True)),
        {f"Archery/{video}.avi": array.tolist() for video, array in zip(IDS, RAGGED, strict=True)},
        {video: {"rgb": array, "label": 3} for video, array in zip(IDS, RAGGED, strict=True)},
        {"names": IDS[::-1], "features": RAGGED[::-1]},
        [{"name": video, "feature": array} for video, array in reversed(list(zip(IDS, RAGGED, strict=True)))],
        [(video, array) for video, array in reversed(list(zip(IDS, RAGGED, strict=True)))],
        list(RAGGED),
    ],
    ids=["dict", "dict of lists", "dict of dicts", "names and features", "list of dicts", "list of pairs", "list"],
)
def test_pickled_features_are_read(tmp_path, csv, file, held):
    if isinstance(held, list) and file == "f.npz":
        pytest.skip("numpy makes no array of one object of a list")
    bring(save_pickle(tmp_path / file, held), csv)
    for video, array in zip(IDS, RAGGED, strict=True):
        np.testing.assert_allclose(stored()[video], array, rtol=1e-6)


def test_names_that_numpy_pickled_beside_plain_features_are_read(tmp_path, csv):
    np.savez(tmp_path / "f.npz", features=POOLED[::-1], names=np.array(IDS[::-1], dtype=object))
    bring(tmp_path / "f.npz", csv)
    np.testing.assert_array_equal(stored()["a1"], POOLED[:1])


def test_objects_beside_plain_features_stay_unread_and_are_named(tmp_path, csv):
    np.savez(tmp_path / "f.npz", features=POOLED, args=np.array([Plain()], dtype=object))
    _, notes = bring(tmp_path / "f.npz", csv)
    assert any("not used: args" in note for note in notes)
    np.savez(tmp_path / "g.npz", features=np.array([Plain()], dtype=object))
    with pytest.raises(ZslbenchError, match=r"features in g.npz is a pickle that wants .*Plain"):
        bring(tmp_path / "g.npz", csv, replace=True)


class Held:
    """An object with attributes, one of them a frozenset."""

    def __init__(self):
        self.a, self.held = np.arange(2.0), frozenset()


class Calling:
    """Runs code when it is loaded."""

    def __reduce__(self):
        return print, ("it ran",)


PLAIN_CLASS = (Plain.__module__, "Held")


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_an_object_is_the_dict_of_its_attributes_only_if_its_class_is_allowed(protocol):
    saved = pickle.dumps([Held()], protocol) if protocol > 2 else pickle.dumps([without_set()], protocol)
    found = load_plain(saved, "f.pkl", {PLAIN_CLASS})[0]
    assert type(found) is dict
    np.testing.assert_array_equal(found["a"], [0.0, 1.0])
    with pytest.raises(ZslbenchError, match="Held"):
        load_plain(saved, "f.pkl")
    with pytest.raises(ZslbenchError, match="Held"):
        load_plain(saved, "f.pkl", {("os", "system")})


def without_set():
    made = Held()
    del made.held
    return made


def test_an_allowed_class_allows_no_call_and_no_other_state(capsys):
    made = Held()
    made.a = Calling()
    with pytest.raises(ZslbenchError, match="print"):
        load_plain(pickle.dumps(made), "f.pkl", {PLAIN_CLASS})
    # The class called as a function, and made with arguments
    for body in (b"c%b\nHeld\n(tR.", b"c%b\nHeld\n(K\x01t\x81."):
        with pytest.raises(ZslbenchError, match="wants to"):
            load_plain(b"\x80\x02" + body % Plain.__module__.encode(), "f.pkl", {PLAIN_CLASS})
    assert "it ran" not in capsys.readouterr().out
