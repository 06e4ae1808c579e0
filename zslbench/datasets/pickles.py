"""Read pickles of plain data: numpy arrays, strings, bytes, numbers, dicts, lists and tuples.

This is not :mod:`pickle`. :mod:`pickletools` reads the opcodes and runs nothing; each that plain data needs is done
here. A name in the pickle is compared with :data:`_KNOWN`, never imported, and no object of it is called. Arrays are
made from their bytes, not by numpy's own ``__setstate__``. Everything else is refused by its name.
"""

from __future__ import annotations

import io
import math
import pickletools
import re
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from zslbench.errors import ZslbenchError
from zslbench.tables.text import visible

MOST_BYTES = 1 << 34  # of a pickle: it is held in memory
MOST_OPCODES = 50_000_000
MOST_LEVELS = 20  # of dicts, lists and tuples inside each other
_MOST_TIMES = 10  # that a value may be shared, on average
_NUMPY = ("numpy.core", "numpy._core")  # before numpy 2, and since
_DTYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|c8|c16|O8?|[US]\d{1,5})")
_MARK = object()
_KNOWN = {
    **{(f"{root}.multiarray", "_reconstruct"): "reconstruct" for root in _NUMPY},
    **{(f"{root}.multiarray", "scalar"): "scalar" for root in _NUMPY},
    **{(f"{root}.numeric", "_frombuffer"): "frombuffer" for root in _NUMPY},
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",  # bytes, in protocols 0 to 2
    ("__builtin__", "bytes"): "bytes",  # empty ones, there
    ("builtins", "bytes"): "bytes",
    ("collections", "OrderedDict"): "ordered",
}


class _Global:
    """A name of :data:`_KNOWN`."""

    def __init__(self, role: str) -> None:
        self.role = role


class _Dtype:
    """A numpy dtype whose byte order a later ``BUILD`` may set."""

    def __init__(self, text: str) -> None:
        self.value = np.dtype(text)


class _Array:
    """A numpy array; its values come with a later ``BUILD``."""

    value: np.ndarray[Any, Any] | list[Any] | None = None


class _Object:
    """An object of a class that may be read; its attributes come with a later ``BUILD``."""

    state: dict[Any, Any] | None = None


def load_plain(data: Any, name: str, classes: Collection[tuple[str, str]] = ()) -> Any:
    """Return the plain data of a pickle.

    Parameters
    ----------
    data
        The bytes, or a memory map that is positioned at the pickle.
    name
        Name of the file, for messages.
    classes
        Module and name of classes whose objects are read as the dicts of their attributes. These are compared as text,
        never imported.

    Raises
    ------
    ZslbenchError
        The pickle wants something else than plain data; the message names it.
    ValueError
        It is damaged, too large or nested too deeply.

    Examples
    --------
    >>> import pickle
    >>> load_plain(pickle.dumps({"v1": np.arange(3.0)}), "f.pkl")
    {'v1': array([0., 1., 2.])}
    """
    if len(data) > MOST_BYTES:
        raise ValueError(f"it is a pickle of {len(data):,} bytes, and the limit is {MOST_BYTES:,}")
    # A file would first allocate what an opcode says that it holds; these two return at most what is there.
    stream = io.BytesIO(data) if isinstance(data, bytes) else data
    found = _Machine(name, classes).run(stream)
    if stream.read(1):
        raise ValueError("it goes on after the end of its pickle: only one object is read from a file")
    return found


class _Machine:
    """The stack and the memo of one pickle."""

    def __init__(self, name: str, classes: Collection[tuple[str, str]]) -> None:
        self.name = name
        self.known = _KNOWN | dict.fromkeys(classes, "object")
        self.do = _DO | (_OF_OBJECTS if classes else {})
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.steps = self.budget = 0

    def run(self, stream: Any) -> Any:
        for opcode, argument, _ in pickletools.genops(stream):
            self.steps += 1
            if self.steps > MOST_OPCODES:
                raise ValueError(f"its pickle has more than {MOST_OPCODES:,} opcodes")
            if opcode.name in _ARGUMENTS:
                self.stack.append(argument)
            elif (make := _VALUES.get(opcode.name)) is not None:
                self.stack.append(make())
            elif (do := self.do.get(opcode.name)) is not None:
                do(self, argument)
            elif opcode.name == "INST":
                raise self.refused(str(argument).replace(" ", ".", 1))
            elif opcode.name not in ("PROTO", "FRAME", "STOP"):
                raise self.refused(f"the opcode {opcode.name}")
        if len(self.stack) != 1:
            raise ValueError("its pickle ends with a stack that is not one value")
        self.budget = _MOST_TIMES * (self.steps + 1)  # what is shared again and again could unfold to any size
        return self.plain(self.stack.pop(), 0)

    def refused(self, what: str) -> ZslbenchError:
        return ZslbenchError(
            f"{self.name} is a pickle that wants {visible(what)}, which could run code; only numpy arrays, strings, "
            f"numbers, dicts, lists and tuples are read. Save it as an .npz of arrays, or as a dict of them."
        )

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise ValueError("its pickle takes more values than it has")
        return self.stack.pop()

    def top(self, kind: type) -> Any:
        if not self.stack or type(self.stack[-1]) is not kind:
            raise ValueError(f"its pickle has no {kind.__name__} where it needs one")
        return self.stack[-1]

    def pop_mark(self) -> list[Any]:
        for i in range(len(self.stack) - 1, -1, -1):
            if self.stack[i] is _MARK:
                values = self.stack[i + 1 :]
                del self.stack[i:]
                return values
        raise ValueError("its pickle lacks a mark")

    def put(self, place: int | None) -> None:
        value = self.pop()
        self.stack.append(value)
        self.memo[len(self.memo) if place is None else place] = value

    def get(self, place: int) -> None:
        if place not in self.memo:
            raise ValueError(f"its pickle has nothing at place {place}")
        self.stack.append(self.memo[place])

    def tuple_of(self, n: int) -> None:
        self.stack.append(tuple(reversed([self.pop() for _ in range(n)])))

    def extend(self, values: list[Any]) -> None:
        self.top(list).extend(values)

    def make_dict(self, pairs: list[Any]) -> None:
        self.stack.append({})
        self.set_items(pairs)

    def set_items(self, pairs: list[Any]) -> None:
        held = self.top(dict)
        if len(pairs) % 2:
            raise ValueError("its pickle has a key without a value")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if not _is_key(key):
                raise ValueError("a key in its pickle is no string, number or tuple of them")
            held[key] = value

    def find(self, module: Any, name: Any) -> None:
        role = self.known.get((module, name)) if type(module) is str and type(name) is str else None
        if role is None:
            raise self.refused(f"{module}.{name}"[:200])
        self.stack.append(_Global(role))

    def reduce(self) -> None:
        arguments, wanted = self.pop(), self.pop()
        if type(wanted) is not _Global or type(arguments) is not tuple or wanted.role not in _CALLS:
            raise self.refused("to call what is no function")
        self.stack.append(_CALLS[wanted.role](arguments))

    def new_object(self) -> None:
        arguments, wanted = self.pop(), self.pop()
        if type(wanted) is not _Global or wanted.role != "object" or type(arguments) is not tuple or arguments:
            raise self.refused("to make an object")
        self.stack.append(_Object())

    def build(self) -> None:
        state = self.pop()
        target = self.stack[-1] if self.stack else None
        if type(target) is _Object and target.state is None and _is(state, dict):
            target.state = state
            return
        if type(target) is _Dtype and _is(state, tuple):
            target.value = _with_order(target.value, state)
        elif type(target) is _Array and target.value is None and _is(state, tuple) and len(state) == 5:
            _, shape, dtype, fortran, raw = state
            target.value = _array(raw, dtype, shape, "F" if fortran else "C")
        else:
            raise self.refused("to set the state of an object")

    def plain(self, value: Any, level: int) -> Any:
        """Return a value with arrays in place of what stood for them."""
        self.budget -= 1
        if self.budget < 0:
            raise ValueError("its pickle repeats values inside each other too often")
        if level > MOST_LEVELS:
            raise ValueError(f"its pickle is nested more than {MOST_LEVELS} levels deep")
        if type(value) is dict:
            return {key: self.plain(each, level + 1) for key, each in value.items()}
        if type(value) in (list, tuple):
            return [self.plain(each, level + 1) for each in value]
        if type(value) is _Object:
            return self.plain(value.state or {}, level + 1)
        if type(value) is _Array:
            if type(value.value) is list:
                return [self.plain(each, level + 1) for each in value.value]
            if value.value is None:
                raise ValueError("its pickle has an array without values")
            return value.value
        if type(value) in (_Global, _Dtype) or value is _MARK:
            raise ValueError("its pickle ends with a name or a type")
        return value


def _is(value: Any, kind: type) -> bool:
    return type(value) is kind


def _is_key(key: Any) -> bool:
    return type(key) in (str, bytes, int, float, bool) or (type(key) is tuple and all(map(_is_key, key)))


def _dtype(arguments: tuple[Any, ...]) -> _Dtype:
    text = arguments[0] if arguments else None
    if type(text) is not str or not _DTYPE.fullmatch(text):
        raise ValueError(f"its pickle has an array of type {str(text)[:40]!r}")
    return _Dtype("O" if text.lstrip("<>|=").startswith("O") else text)


def _with_order(dtype: np.dtype[Any], state: tuple[Any, ...]) -> np.dtype[Any]:
    """Return the dtype with the byte order of its state; a structured type is refused."""
    if len(state) < 5 or state[1] not in ("<", ">", "|", "=") or any(each is not None for each in state[2:5]):
        raise ValueError("its pickle has an array of structured values")
    return dtype.newbyteorder(state[1])


def _array(raw: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray[Any, Any] | list[Any]:
    if type(dtype) is not _Dtype or type(shape) is not tuple or any(type(n) is not int or n < 0 for n in shape):
        raise ValueError("its pickle has an array without a shape or a type")
    count = math.prod(shape)
    if dtype.value.hasobject:
        if type(raw) is not list or len(raw) != count:
            raise ValueError("its pickle has an array of objects without its objects")
        if len(shape) == 2 and shape[1] > 1:
            return [raw[i : i + shape[1]] for i in range(0, count, shape[1])]
        return raw
    raw = raw.encode("latin-1") if type(raw) is str else raw  # of Python 2
    if type(raw) not in (bytes, bytearray) or len(raw) != count * dtype.value.itemsize or len(shape) > 8:
        raise ValueError("its pickle has an array whose bytes do not fit its shape")
    if not count:
        return np.empty(shape, dtype.value)
    return np.frombuffer(raw, dtype.value).reshape(shape, order="F" if order == "F" else "C")


def _reconstruct(arguments: tuple[Any, ...]) -> _Array:
    if len(arguments) != 3 or type(arguments[0]) is not _Global or arguments[0].role != "ndarray":
        raise ValueError("its pickle has an array of another class than numpy's")
    return _Array()


def _from_buffer(arguments: tuple[Any, ...]) -> _Array:
    if len(arguments) != 4:
        raise ValueError("its pickle has an array without a shape or a type")
    made = _Array()
    made.value = _array(*arguments)
    return made


def _scalar(arguments: tuple[Any, ...]) -> Any:
    if len(arguments) != 2 or type(arguments[0]) is not _Dtype or arguments[0].value.hasobject:
        raise ValueError("its pickle has a scalar without a type")
    array = _array(arguments[1], arguments[0], (1,), "C")
    return array[0].item()


def _encode(arguments: tuple[Any, ...]) -> bytes:
    if len(arguments) != 2 or type(arguments[0]) is not str or arguments[1] not in ("latin1", "latin-1"):
        raise ValueError("its pickle encodes something else than bytes")
    return arguments[0].encode("latin-1")


def _empty(kind: type) -> Callable[[tuple[Any, ...]], Any]:
    def make(arguments: tuple[Any, ...]) -> Any:
        if arguments:
            raise ValueError(f"its pickle makes a {kind.__name__} of something")
        return kind()

    return make


_CALLS: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    "reconstruct": _reconstruct,
    "scalar": _scalar,
    "frombuffer": _from_buffer,
    "dtype": _dtype,
    "encode": _encode,
    "bytes": _empty(bytes),
    "ordered": _empty(dict),
}

# Opcodes that push their argument; those that push what a function makes; and those that do something.
_ARGUMENTS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_VALUES: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
    "MARK": lambda: _MARK,
}
_DO: dict[str, Callable[[_Machine, Any], Any]] = {
    "POP": lambda m, _: m.stack.pop() if m.stack else m.pop(),
    "POP_MARK": lambda m, _: m.pop_mark(),
    "DUP": lambda m, _: m.stack.append(m.stack[-1] if m.stack else m.pop()),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), lambda m, place: m.put(place)),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda m, place: m.get(place)),
    "APPEND": lambda m, _: m.extend([m.pop()]),
    "APPENDS": lambda m, _: m.extend(m.pop_mark()),
    "LIST": lambda m, _: m.stack.append(m.pop_mark()),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.pop_mark())),
    "TUPLE1": lambda m, _: m.tuple_of(1),
    "TUPLE2": lambda m, _: m.tuple_of(2),
    "TUPLE3": lambda m, _: m.tuple_of(3),
    "SETITEM": lambda m, _: m.set_items([m.pop(), m.pop()][::-1]),
    "SETITEMS": lambda m, _: m.set_items(m.pop_mark()),
    "DICT": lambda m, _: m.make_dict(m.pop_mark()),
    "GLOBAL": lambda m, text: m.find(*text.split(" ", 1)),
    "STACK_GLOBAL": lambda m, _: m.find(*[m.pop(), m.pop()][::-1]),
    "REDUCE": lambda m, _: m.reduce(),
    "BUILD": lambda m, _: m.build(),
}
_OF_OBJECTS: dict[str, Callable[[_Machine, Any], Any]] = {  # only where some classes may be read
    "FROZENSET": lambda m, _: m.stack.append(m.pop_mark()),
    "NEWOBJ": lambda m, _: m.new_object(),
}
