"""Processes that decode and preprocess videos, while this one runs the network.

Each process gets every n-th video, a few at a time, and sends their clips through a pipe. They are read in the order of
the videos, so that batches do not depend on the number of processes. A process that dies is replaced. The new one
gets one video at a time, so that the next death shows which video was the cause.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from queue import SimpleQueue
from typing import Any

from zslbench.errors import ZslbenchError
from zslbench.video.backbone import Backbone
from zslbench.video.decoding import AHEAD_BYTES, Ahead, Ending, PreparedItem, decode_videos, prepare_clips
from zslbench.video.folders import VideoFile
from zslbench.video.reader_pyav import PyAVReader
from zslbench.video.sampling import Sampler

_ROOM = 1 << 28  # bytes of clips that wait in a process while those of another one are read
_WINDOW = 8  # videos that a process knows of; so few that their names fit into a pipe, even if nobody reads it
_READY = "ready"
_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from zslbench.video._decoders import serve; serve()"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
_DIED = "its decoding process died: a library crashed on it, or the system killed it for memory"


def prepare_in_processes(
    files: Sequence[VideoFile], backbone: Backbone, sampler: Sampler, reader: PyAVReader, workers: int
) -> Generator[PreparedItem]:
    """Yield what :func:`zslbench.video.decoding.prepare_ahead` yields.

    A video that kills its process twice, the second time alone, ends with a reason.

    Raises
    ------
    ZslbenchError
        A process ends before it can decode.
    """
    setup = pickle.dumps((backbone, sampler, reader))
    with contextlib.ExitStack() as stack:
        shares = [files[i::workers] for i in range(min(workers, len(files)))]
        decoders = [stack.enter_context(contextlib.closing(_Decoder(setup, share))) for share in shares]
        ahead = stack.enter_context(contextlib.closing(Ahead(_in_turn(decoders, len(files)), _size, AHEAD_BYTES)))
        for decoder in decoders:
            stack.callback(decoder.stop)  # before the end of Ahead's thread, which reads from them
        yield from ahead


def _in_turn(decoders: Sequence[_Decoder], videos: int) -> Generator[PreparedItem]:
    for number in range(videos):
        yield from decoders[number % len(decoders)].video()


def _size(item: PreparedItem) -> int:
    return 0 if isinstance(item, Ending) else item.nbytes


class _Decoder:
    """A decoding process, or the one that has replaced it, and its share of the videos."""

    def __init__(self, setup: bytes, files: Sequence[VideoFile]) -> None:
        self._setup = setup
        self._files = files
        self._done = self._asked = 0
        self._alone = 0  # one of the videos before this one has killed the process
        self._lock = threading.Lock()
        self._stopped = False
        self._start(0)

    def _start(self, first: int) -> None:
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-c", _START, json.dumps(sys.path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **dict.fromkeys(_THREADS, "1")},
            start_new_session=True,  # Ctrl-C at a terminal does not reach it: the command alone decides what stops
        )  # fmt: skip
        self._asked, self._ready = first, False
        self._write(self._setup)

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101
        with contextlib.suppress(OSError):  # it is dead, which shows when its answer is read
            self._process.stdin.write(data)
            self._process.stdin.flush()

    def video(self) -> Generator[PreparedItem]:
        """Yield the clips of the next video, and its ending."""
        given = 0
        while True:
            self._ask()
            read = 0
            try:
                while not isinstance(item := self._read(), Ending):
                    read += 1
                    if read > given:  # a process that died may have sent the first ones already
                        given = read
                        yield item
            except (EOFError, OSError, pickle.UnpicklingError):
                found = self._replaced()
                if found is None:
                    continue
                item = found
            self._done += 1
            yield item
            return

    def _ask(self) -> None:
        window = 1 if self._done < self._alone else _WINDOW
        for file in self._files[self._asked : self._done + window]:
            self._write(pickle.dumps(file))
            self._asked += 1

    def _read(self) -> PreparedItem:
        assert self._process.stdout is not None  # noqa: S101
        if not self._ready:
            self._ready = pickle.load(self._process.stdout) == _READY  # noqa: S301 - a process of our own wrote it
        item: PreparedItem = pickle.load(self._process.stdout)  # noqa: S301
        return item

    def _replaced(self) -> Ending | None:
        """Start another process; return the ending of the current video if it is known to be the cause."""
        code = self._process.wait()
        self._close_pipes()
        if not (self._ready or self._stopped):
            raise ZslbenchError(f"a decoding process ended at its start (code {code}); leave out --workers.")
        ending = Ending(reason=_DIED) if self._done < self._alone else None
        self._alone = max(self._alone, self._asked)
        with self._lock:
            if self._stopped:
                raise ZslbenchError("the decoding processes were stopped.")
            self._start(self._done + (ending is not None))
        return ending

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None  # noqa: S101
            with contextlib.suppress(OSError):
                pipe.close()

    def stop(self) -> None:
        """Kill the process."""
        with self._lock:
            self._stopped = True
            self._process.kill()

    def close(self) -> None:
        """Kill the process and wait for its end."""
        self.stop()
        self._process.wait()
        self._close_pipes()


def serve() -> None:
    """Decode the videos that come on stdin, and send their clips to stdout."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not come between the clips
    backbone, sampler, reader = pickle.load(sys.stdin.buffer)  # noqa: S301 - the command wrote it
    files: SimpleQueue[VideoFile] = SimpleQueue()
    threading.Thread(target=_listen, args=(files,), daemon=True).start()
    send(out, _READY)
    items = prepare_clips(decode_videos(iter(files.get, None), sampler, reader), backbone)
    for item in Ahead(items, _size, _ROOM):
        send(out, item)


def send(out: Any, message: Any) -> None:
    """Write a message; end this process if nobody can read it any more."""
    try:
        pickle.dump(message, out, protocol=pickle.HIGHEST_PROTOCOL)
        out.flush()
    except BrokenPipeError:
        os._exit(1)


def _listen(files: SimpleQueue[VideoFile]) -> None:
    """Receive videos; end this process when the command ends, also while a library hangs."""
    while True:
        try:
            files.put(pickle.load(sys.stdin.buffer))  # noqa: S301
        except EOFError:
            os._exit(0)
