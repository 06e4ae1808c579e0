"""A hub on 127.0.0.1 that serves the files of folders as models, as huggingface_hub asks for them."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SHA = "57c216476eefef5ab752ec549e440a49ae4ae5f3"


class _Handler(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, *, body):
        self.server.asked.append(f"{self.command} {self.path}")
        path = self.path.split("?")[0].strip("/").split("/")
        if path[:2] == ["api", "models"]:
            name, revision = "/".join(path[2:4]), path[5] if path[4:5] == ["revision"] else None
            if path[4:5] == ["tree"]:
                self._send(json.dumps(self._tree(name)).encode())
            else:
                self._model(name, revision)
        else:
            self._file("/".join(path[:2]), path[4:], body=body)

    def _model(self, name, revision):
        if name in self.server.gated:
            self._fail(403, "GatedRepo")
        elif name not in self.server.models:
            self._fail(404, "RepoNotFound")
        elif revision not in (None, "main", SHA):
            self._fail(404, "RevisionNotFound")
        else:
            listed = [{"rfilename": each["path"]} for each in self._tree(name)]
            self._send(json.dumps({"id": name, "sha": SHA, "siblings": listed}).encode())

    def _tree(self, name):
        folder = self.server.models[name]
        return [
            {"type": "file", "path": file.relative_to(folder).as_posix(), "size": file.stat().st_size, "oid": file.name}
            for file in folder.rglob("*.*")
        ]

    def _file(self, name, parts, *, body):
        path = self.server.models.get(name, Path("none")).joinpath(*parts)
        if not path.is_file():
            self._fail(404, "EntryNotFound")
            return
        held = path.read_bytes()
        tag = hashlib.sha256(held).hexdigest()
        self._send(held, {"ETag": f'"{tag}"', "X-Repo-Commit": SHA, "Accept-Ranges": "bytes"}, body=body)

    def _send(self, held, headers=(), *, body=True):
        self.send_response(200)
        for key, value in dict(headers).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(held)))
        self.end_headers()
        if body:
            self.wfile.write(held)

    def _fail(self, status, code):
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def hub(models, gated=()):
    """Serve name -> folder; yield the address and the requests so far."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.models, server.gated, server.asked = models, gated, []
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.asked
    finally:
        server.shutdown()
        server.server_close()
