"""Names and files that do harm where a program takes data for more than data.

``NAMES`` can name classes, methods, notes: printable text that is markup, a formula or a path somewhere. ``UNSEEN``
holds characters that a reader cannot see, which no import takes as a name. ``FILES`` makes damaged files by suffix.
"""

import gzip
import io
import pickle
import zipfile

NAMES = {
    "mathematics": r"clap $\alpha^{2$ hard",
    "two dollars": "$5 and $6",
    "wrong mathematics": r"$\frac{}$",
    "percent": "100% %s %(x)d {0} {x!r}",
    "underscores": "__init__ _a_ ^b~",
    "rich markup": "[red]x[/red]",
    "rich end": "close [/] tag",
    "rich link": "[link=file:///etc/passwd]x[/link]",
    "emoji name": ":smile: thumbs",
    "markup": "<script>alert(1)</script>",
    "end of script": "</script></style>--><b>",
    "entity": "run &lt;far&gt; &amp;",
    "quotes": 'it\'s "quoted" `x`',
    "markdown": "a|b *c* ![x](y) # d",
    "latex": r"\input{x} \\ & # ~",
    "backslash end": "ends with \\",
    "formula": "=SUM(A1)",
    "plus": "+1+cmd",
    "minus": "-2+3+cmd",
    "at": "@SUM(1)",
    "comma": "one,two;three",
    "path": "../../etc/passwd",
    "glob": "*?[a-z]",
    "emoji": "\U0001f93c wrestle",
    "no glyph": "\U0001f9ff\u0fd5 \u4e2d\u6587",
    "right to left": "\u05e9\u05dc\u05d5\u05dd \u0639\u0645\u0644",
    "combining": "e\u0301\u0327 zalgo\u0310\u0311\u0312",
    "long": "long " * 60 + "end",
    "one long word": "x" * 300,
    "null": "null",
    "number": "1e400",
    "option": "--help",
}

UNSEEN = {
    "NUL": "a\0b",
    "line break": "a\nb",
    "carriage return": "a\rb",
    "tab": "a\tb",
    "escape": "a\x1b[31mb\x1b[0m",
    "title of the terminal": "\x1b]0;owned\x07",
    "bell": "a\x07",
    "backspace": "a\x08\x08b",
    "delete": "a\x7f",
    "C1 control": "a\x9b31mb",
    "next line": "a\x85b",
    "line separator": "a\u2028b",
    "override of direction": "a\u202egnp.exe",
    "isolate": "a\u2066b\u2069",
    "byte order mark": "\ufeffa",
    "width of nothing": "a\u200bb",
    "lone surrogate": "a\udcffb",
    "tag": "a\U000e0041b",
}


def _zip(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def npy(shape, dtype="<f4", data=b"\0" * 240, order=False):
    """Return a .npy file whose header declares what it likes."""
    header = f"{{'descr': {dtype!r}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def npz_bomb():
    """Return 1.1 MB that unpack to 1.1 GB."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("vectors.npy", "w", force_zip64=True) as member:
            member.write(npy("(275000, 1000)", data=b""))
            for _ in range(1100):
                member.write(bytes(1_000_000))
        archive.writestr("names.npy", npy("(51,)", "<U4", bytes(16 * 51)))
    return stream.getvalue()


GARBAGE = bytes(range(256)) * 4
DEEP = 100_000

# suffix -> what is wrong -> content. Each is small and harmless by itself.
FILES = {
    ".npy": {
        "empty": b"",
        "garbage": GARBAGE,
        "no header": b"\x93NUMPY\x01\x00",
        "rows that are not there": npy("(1000000000000, 60)"),
        "a true number of rows": npy("(True, 60)"),
        "negative rows": npy("(-1, 60)"),
        "huge rows": npy("(2, 1000000000000)"),
        "no numbers": npy("(51,)", "|S4", bytes(204)),
        "objects": npy("(51, 60)", "|O"),
        "pickle": npy("(51, 60)", "|O", pickle.dumps([print])),
        "void": npy("(51, 2)", "|V0", b""),
        "cut off": npy("(51, 60)"),
        "shape that is text": npy("'x'"),
        "nested header": b"\x93NUMPY\x01\x00\xff\x7f" + b"(" * 0x7FFF,
        "version 9": b"\x93NUMPY\x09\x00" + bytes(64),
        "complex": npy("(51, 1)", "<c8", bytes(408)),
        "nan": npy("(51, 1)", "<f4", b"\0\0\xc0\x7f" * 51),
        "infinite": npy("(51, 1)", "<f4", b"\0\0\x80\x7f" * 51),
    },
    ".npz": {
        "empty": b"",
        "garbage": GARBAGE,
        "cut off": _zip(**{"vectors.npy": npy("(51, 60)")})[:-30],
        "no array": _zip(**{"a.txt": b"x"}),
        "no member": _zip(),
        "rows that are not there": _zip(**{"features.npy": npy("(1000000000000, 60)"), "vectors.npy": npy("(9, 9)")}),
        "objects": _zip(**{f"{name}.npy": npy("(51, 1)", "|O") for name in ("features", "names", "vectors")}),
        "member that is garbage": _zip(**{"features.npy": GARBAGE, "names.npy": GARBAGE, "vectors.npy": GARBAGE}),
        "path outside": _zip(**{"../../outside.npy": npy("(9, 9)", order=True)}),
    },
    ".mat": {
        "empty": b"",
        "garbage": GARBAGE,
        "header only": b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM",
        "garbage after the header": b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + GARBAGE,
        "compressed garbage": b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"\x0f\0\0\0\x40\0\0\0" + GARBAGE,
        "HDF5 that is none": b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n" + GARBAGE,
        "version 4": (0).to_bytes(4, "little") + (2**31 - 1).to_bytes(4, "little") * 2 + bytes(12),
    },
    ".h5": {"empty": b"", "garbage": GARBAGE, "cut off": b"\x89HDF\r\n\x1a\n" + bytes(40)},
    ".pt": {
        "empty": b"",
        "garbage": GARBAGE,
        "pickle": pickle.dumps({"x": print}),
        "zip of nothing": _zip(a=b"x"),
        "zip of a pickle": _zip(**{"archive/data.pkl": pickle.dumps(print), "archive/version": b"3\n"}),
        "a list": pickle.dumps([1, 2]),
    },
    ".safetensors": {
        "empty": b"",
        "garbage": GARBAGE,
        "huge header": (2**62).to_bytes(8, "little") + b"{}",
        "no JSON": (4).to_bytes(8, "little") + b"{{{{",
    },
    ".parquet": {"empty": b"", "garbage": GARBAGE, "magic": b"PAR1" + GARBAGE + b"PAR1"},
    ".json": {
        "empty": b"",
        "garbage": GARBAGE,
        "nested": b"[" * DEEP,
        "nested and closed": b'{"a":' * 5000 + b"1" + b"}" * 5000,
        "nested a little": b"[" * 500 + b"]" * 500,
        "key twice": b'{"classes": {}, "classes": {}, "dataset": "x", "dataset": "y"}',
        "not UTF-8": b'{"a": "\xff"}',
        "UTF-16": '{"a": 1}'.encode("utf-16"),
        "null": b"null",
        "number": b"1e400",
        "a number of many digits": b"9" * 5000,
        "text": b'"x"',
        "list": b"[1, 2]",
        "NUL": b'{"a\0": 1}',
        "half a surrogate": b'{"\\ud800": 1}',
        "cut off": b'{"a": [1, 2',
    },
    ".toml": {
        "empty": b"",
        "garbage": GARBAGE,
        "nested": b"a = " + b"[" * DEEP,
        "nested tables": b"a = " + b"{b = " * 5000,
        "nested a little": b"a = " + b"[" * 500 + b"]" * 500,
        "dotted": b"a" + b".a" * 5000 + b" = 1",
        "key twice": b"name = 'x'\nname = 'y'\n",
        "not UTF-8": b"name = '\xff'\n",
        "UTF-16": "name = 'x'".encode("utf-16"),
        "NUL": b"name = '\0'\n",
        "a number of many digits": b"splits = " + b"9" * 5000,
        "infinite": b"seed = inf\n",
        "date": b"name = 2020-01-01\n",
        "cut off": b"classes = ['a', ",
    },
    ".csv": {
        "empty": b"",
        "garbage": GARBAGE,
        "NUL": b"video,class\na\0b,wave\n",
        "not UTF-8": b"video,class\n\xff,wave\n",
        "UTF-16": "video,class\na,wave\n".encode("utf-16"),
        "line break in a name": b'video,class\n"a\nb",wave\n',
        "escape in a name": b"video,class\na\x1b[31mb,wave\n",
        "column twice": b"video,class,video\na,wave,b\n",
        "quote that stays open": b'video,class\n"a,wave\n' + b"x,y\n" * 10,
        "long field": b"video,class\n" + b"x" * 200_000 + b",wave\n",
        "one column": b"video\na\n",
        "uneven": b"video,class\na,wave,more\n",
        "header only": b"video,class\n",
        "nan": b"class,x\nwave,nan\nrun,1\n",
        "infinite": b"class,x\nwave,1e400\nrun,1\n",
        "words for numbers": b"class,x\nwave,one\n",
    },
    ".txt": {
        "empty": b"",
        "garbage": GARBAGE,
        "nan": b"run 1 2\nwalk nan 2\n",
        "infinite": b"2 2\nrun 1 2\nwalk inf 2\n",
        "too large for a float": b"run 1 2\nwalk 1e39 2\n",
        "uneven": b"run 1 2\nwalk 1\n",
        "header that lies": b"1000000000000 1000000000000\nrun 1 2\n",
        "negative header": b"2 -3\nrun 1 2\n",
        "words for numbers": b"run one two\n",
        "header only": b"2 2\n",
        "gzip of garbage": b"\x1f\x8b" + GARBAGE,
        "gzip cut off": gzip.compress(b"run 1 2\n" * 1000)[:30],
    },
    ".bin": {
        "header that lies": b"1000000000000 300\nrun \0\0\0\0",
        "cut off": b"2000 300\n" + GARBAGE,
        "fastText garbage": (793712314).to_bytes(4, "little") + GARBAGE,
        "fastText that lies": (793712314).to_bytes(4, "little") + (12).to_bytes(4, "little") + b"\xff\xff\xff\x7f" * 40,
    },
}  # fmt: skip


def write_all(folder, *suffixes):
    """Write the hostile files of some suffixes, by default of all, and return what is wrong -> path."""
    made = {}
    for suffix in suffixes or FILES:
        for number, (wrong, content) in enumerate(FILES[suffix].items()):
            made[f"{suffix}: {wrong}"] = path = folder / f"hostile{number}{suffix}"
            path.write_bytes(content)
    return made
