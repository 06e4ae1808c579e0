"""A download continues where it broke, is in place only when it is whole, and is the same file as the first time."""

import hashlib
import http.server
import json
import threading

import pytest

from zslbench.errors import ZslbenchError
from zslbench.features import downloads
from zslbench.features.downloads import download, pins_file

CONTENT = bytes(range(256)) * 40
PAGE = "https://example.org/page"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append(self.headers.get("Range"))
        if server.status != 200:
            self.send_error(server.status)
            return
        content, start = server.content, 0
        wanted = self.headers.get("Range")
        if wanted and server.ranges and self.headers.get("If-Range") == server.etag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            self.send_response(206 if start < len(content) else 416)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        rest = content[start:]
        self.send_header("Content-Type", server.kind)
        if server.etag:
            self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        cut = server.cuts.pop(0) if server.cuts else len(rest)
        self.wfile.write(rest[:cut])
        self.wfile.flush()

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(downloads, "_BLOCK", 500)
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.content, made.status, made.ranges, made.etag = CONTENT, 200, True, '"v1"'
    made.kind, made.cuts, made.asked = "application/zip", [], []
    made.url = f"http://127.0.0.1:{made.server_address[1]}/features.zip"
    thread = threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def left(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def refused(server, path, **options):
    with pytest.raises(ZslbenchError) as error:
        download(server.url, path, PAGE, **options)
    assert not path.exists()
    return str(error.value)


def test_a_file_is_in_place_and_its_digest_is_recorded(server, tmp_path):
    seen, started = [], []
    path = tmp_path / "d" / "features.zip"
    found = download(
        server.url, path, PAGE, progress=lambda *at: seen.append(at), starts=lambda *at: started.append(at)
    )
    assert (path.read_bytes(), found) == (CONTENT, DIGEST)
    assert left(tmp_path / "d") == ["features.zip"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert started[0][0] == len(CONTENT)
    assert started[0][1] > 0
    pin = json.loads(pins_file().read_text())[server.url]
    assert (pin["sha256"], pin["size"]) == (DIGEST, len(CONTENT))


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_connection_continues(server, tmp_path, ranges):
    server.cuts, server.ranges = [3000, 2000], ranges
    assert download(server.url, tmp_path / "f.zip", PAGE) == DIGEST
    assert server.asked[0] is None
    assert server.asked[1] == "bytes=3000-"
    assert len(server.asked) == 3


def test_a_later_command_continues_what_an_earlier_one_left(server, tmp_path):
    server.cuts = [1000, 500, 500, 500]
    said = refused(server, tmp_path / "f.zip")
    assert "broke 4 times (it ended early), with 2,500 bytes so far; the same command continues it" in said
    assert download(server.url, tmp_path / "f.zip", PAGE) == DIGEST
    assert server.asked[-1] == "bytes=2500-"
    assert left(tmp_path) == ["data-root", "f.zip"]


@pytest.mark.parametrize("etag", ["", 'W/"v1"'])
def test_without_a_version_nothing_is_continued(server, tmp_path, etag):
    server.cuts, server.etag = [1000], etag
    assert download(server.url, tmp_path / "f.zip", PAGE) == DIGEST
    assert server.asked == [None, None]


def test_a_file_that_changed_in_between_is_loaded_from_its_start(server, tmp_path):
    server.cuts = [1000] * 4
    refused(server, tmp_path / "f.zip")
    server.content, server.etag = CONTENT[::-1], '"v2"'
    assert download(server.url, tmp_path / "f.zip", PAGE) == hashlib.sha256(CONTENT[::-1]).hexdigest()


def test_another_file_than_the_first_time_is_refused_with_both_digests(server, tmp_path):
    path = tmp_path / "f.zip"
    download(server.url, path, PAGE)
    asked = len(server.asked)
    assert download(server.url, path, PAGE) == DIGEST  # it is there
    assert len(server.asked) == asked
    path.unlink()
    server.content = CONTENT[::-1]
    said = refused(server, path)
    assert DIGEST in said
    assert hashlib.sha256(CONTENT[::-1]).hexdigest() in said
    assert left(tmp_path) == ["data-root"]
    server.content = CONTENT
    assert download(server.url, path, PAGE) == DIGEST
    path.write_bytes(b"changed")
    with pytest.raises(ZslbenchError, match="remove .*f.zip to download it again"):
        download(server.url, path, PAGE)


def test_a_known_digest_counts_on_first_sight(server, tmp_path):
    said = refused(server, tmp_path / "f.zip", sha256="0" * 64)
    assert "0" * 64 in said
    assert not pins_file().exists()


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_web_page_instead_of_the_file_is_refused(server, tmp_path, kind):
    server.content, server.kind = b"\n<!DOCTYPE html><html><title>Google Drive - Virus scan warning</title>", kind
    assert f"gives a web page instead of the file; get it by hand from {PAGE}" in refused(server, tmp_path / "f.zip")
    assert left(tmp_path) == []


@pytest.mark.parametrize("status", [403, 404, 500])
def test_an_address_that_is_gone_is_refused(server, tmp_path, status):
    server.status = status
    assert f"answers {status} " in (said := refused(server, tmp_path / "f.zip"))
    assert PAGE in said


def test_an_unreachable_server_is_one_sentence(server, tmp_path):
    server.shutdown()
    server.server_close()
    said = refused(server, tmp_path / "f.zip")
    assert "cannot be reached (ConnectionError); check the connection" in said
    assert left(tmp_path) == []


def test_a_disk_that_is_too_small_is_refused_before_the_download(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 100}))
    assert "GB left; free some space, or choose another folder with --to" in refused(server, tmp_path / "f.zip")


# --- the commands -----------------------------------------------------------------------------------------------------


@pytest.fixture
def release(server, monkeypatch):
    from zslbench.features import releases

    made = releases.find_release("tcaf-c3d-ucf101").model_copy(
        update={"files": (releases.ReleaseFile(url=server.url),), "page": PAGE}
    )
    monkeypatch.setattr("zslbench.cli._releases.find_release", lambda name: made)
    return made


def test_get_downloads_and_prints_the_import_command(zslbench, server, release, tmp_path):
    code, out, err = zslbench("features", "get", release.name, "--to", tmp_path / "to")
    assert (code, err) == (0, "")
    assert (tmp_path / "to" / "features.zip").read_bytes() == CONTENT
    assert f"features.zip: {len(CONTENT) / 1000:.1f} kB to come" in out
    assert f"SHA-256 {DIGEST}" in out
    assert "zslbench features import ucf101 tcaf-c3d" in " ".join(out.replace("\\\n", "").split())


def test_get_of_a_release_without_an_address_names_its_page(zslbench):
    code, out, err = zslbench("features", "get", "od-i3d")
    assert (code, out) == (2, "")
    assert "has no direct address (Google Drive" in err
    assert "get it from https://github.com/naraysa/gzsl-od." in err
    assert "Did you mean od-i3d" in zslbench("features", "get", "od-i3")[2]


def test_the_catalogue_fits_80_columns(zslbench):
    from zslbench.features.releases import releases

    code, out, _ = zslbench("features", "catalog")
    assert code == 0
    names = {release.name for release in releases()}
    assert {line.split()[0] for line in out.splitlines()[2:] if line and line[0] not in " '"} >= names
    for argument in ["ucf101", "hmdb51", "kinetics700", "activitynet", "olympicsports16", *names]:
        code, more, _ = zslbench("features", "catalog", argument)
        assert code == 0
        out += more
    assert max(map(len, out.splitlines())) <= 80
    assert "no release of features of 'nothing'" in zslbench("features", "catalog", "nothing")[2]


def test_the_catalogue_as_json_has_every_fact_of_a_dataset(zslbench):
    found = json.loads(zslbench("features", "catalog", "hmdb51", "--format", "json")[1])
    assert [each["name"] for each in found][:2] == ["od-i3d", "tfvaegan-i3d"]
    assert all(each["source"] and each["page"].startswith("http") for each in found)


def test_commands_of_the_catalogue_are_import_commands():
    import shlex

    from zslbench.cli.features import import_
    from zslbench.features.releases import releases

    for release in releases():
        if release.command:
            words = shlex.split(release.command_for("to").rpartition("&& ")[2])
            assert words[:3] == ["zslbench", "features", "import"]
            with import_.make_context("import", words[3:]) as context:
                assert context.params["dataset"] in release.datasets
