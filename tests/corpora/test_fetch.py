"""Downloads from a real HTTP server of the test's own, which can misbehave in every way that servers do."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from retort.corpora.official.fetch import Official, OfficialFile, fetch, official_corpora
from retort.errors import DataError, InputError, RunError

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """What the server does, and what it was asked for."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.etag: str | None = '"one"'
        self.ranges = True
        self.cuts: list[int] = []  # bytes after which each of the next responses ends
        self.status: list[int] = []  # of each of the next responses, instead of the file
        self.wrong_range = False
        self.page = False
        self.asked: list[tuple[str, str | None, str | None]] = []
        self.url = ""


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
            server.asked.append((self.path, asked, condition))
            if server.status:
                self.send_error(server.status.pop(0))
                return
            start = 0
            if asked and server.ranges and condition == server.etag:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                if start >= len(server.content):
                    self.send_error(416)
                    return
                self.send_response(206)
                shown = start - 1 if server.wrong_range else start
                self.send_header("Content-Range", f"bytes {shown}-{len(server.content) - 1}/{len(server.content)}")
            else:
                self.send_response(200)
            body = server.content[start:]
            self.send_header("Content-Type", "text/html" if server.page else "application/octet-stream")
            self.send_header("Content-Length", str(len(body)))
            if server.etag:
                self.send_header("ETag", server.etag)
            self.end_headers()
            self.wfile.write(body[: server.cuts.pop(0)] if server.cuts else body)

        def log_message(self, *arguments):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{running.server_address[1]}"
    try:
        yield server
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


@pytest.fixture
def server():
    with serving(Server()) as running:
        yield running


def official(server, **checks):
    file = OfficialFile("data/file.bin", f"{server.url}/there/file.bin", **checks)
    return Official("toy", "https://example.org", "CC0", (file,), (), ())


def run(server, folder, **checks):
    (done,) = fetch(official(server, **checks), folder, pause_seconds=0.001)
    return done


def test_a_file_is_fetched_once_and_checked(server, tmp_path):
    done = run(server, tmp_path, sha256=SHA256, md5=hashlib.md5(CONTENT).hexdigest(), bytes=len(CONTENT))
    assert done.path.read_bytes() == CONTENT and (done.sha256, done.checked, done.reused) == (SHA256, True, False)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["file.bin"]
    assert run(server, tmp_path, sha256=SHA256).reused and len(server.asked) == 1


def test_a_cut_connection_goes_on_where_it_ended(server, tmp_path):
    server.cuts = [100_000, 50_000]
    assert run(server, tmp_path, sha256=SHA256).path.read_bytes() == CONTENT
    assert [(asked, condition) for _, asked, condition in server.asked] == [
        (None, None),
        ("bytes=100000-", '"one"'),
        ("bytes=150000-", '"one"'),
    ]


def test_an_interrupted_download_is_resumed_by_the_next_command(server, tmp_path):
    server.cuts = [300_000] + [0] * 9
    with pytest.raises(RunError, match=r"the connection ended early, 5 times in a row; .*file\.bin\.part is kept"):
        run(server, tmp_path)
    assert (tmp_path / "data/file.bin.part").stat().st_size == 300_000
    server.cuts = []
    assert run(server, tmp_path, sha256=SHA256).path.read_bytes() == CONTENT
    assert server.asked[-1][1] == "bytes=300000-"


def test_a_server_that_ignores_ranges_is_taken_from_the_beginning(server, tmp_path):
    server.ranges, server.cuts = False, [100_000]
    assert run(server, tmp_path, sha256=SHA256).path.read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_is_taken_from_the_beginning(server, tmp_path):
    server.cuts = [100_000] + [0] * 9
    with pytest.raises(RunError, match="cannot be had"):
        run(server, tmp_path)
    server.cuts, server.etag, server.content = [], '"two"', b"other " * 40_000
    assert run(server, tmp_path).path.read_bytes() == server.content


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_validator_nothing_is_joined(server, tmp_path, etag):
    server.etag, server.cuts = etag, [100_000]
    assert run(server, tmp_path, sha256=SHA256).path.read_bytes() == CONTENT
    assert server.asked[-1][1] is None


def test_a_range_that_begins_elsewhere_is_not_joined(server, tmp_path):
    server.cuts, server.wrong_range = [100_000], True
    assert run(server, tmp_path, sha256=SHA256).path.read_bytes() == CONTENT


def test_a_part_that_is_too_long_is_thrown_away(server, tmp_path):
    server.cuts = [100_000] + [0] * 9
    with pytest.raises(RunError, match="cannot be had"):
        run(server, tmp_path)
    server.cuts = []
    (tmp_path / "data/file.bin.part").write_bytes(bytes(2 << 20))
    assert run(server, tmp_path, sha256=SHA256).path.read_bytes() == CONTENT


@pytest.mark.parametrize("checks", [{"sha256": "0" * 64}, {"md5": "0" * 32}, {"bytes": 7}])
def test_another_file_than_was_published_is_refused(server, tmp_path, checks):
    with pytest.raises(RunError, match=r"file\.bin\.part has .* published (is|are)"):
        run(server, tmp_path, **checks)
    assert list((tmp_path / "data").iterdir()) == []


def test_a_file_that_is_there_and_wrong_is_told_of_and_kept(server, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file.bin").write_bytes(b"mine")
    with pytest.raises(RunError, match=r"file\.bin has the sha256 .*remove it and fetch it again"):
        run(server, tmp_path, sha256=SHA256)
    assert (tmp_path / "data/file.bin").read_bytes() == b"mine" and server.asked == []


@pytest.mark.parametrize("status", [404, 403, 410])
def test_a_file_that_is_gone_is_told_of_at_once(server, tmp_path, status):
    server.status = [status] * 9
    with pytest.raises(RunError, match=rf"cannot be had: {status} .*; look for data/file\.bin at the corpus's page"):
        run(server, tmp_path)
    assert len(server.asked) == 1


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.status = [503, 500, 429]
    assert run(server, tmp_path, sha256=SHA256).path.read_bytes() == CONTENT


def test_a_web_page_is_no_file(server, tmp_path):
    server.page = True
    with pytest.raises(RunError, match="is a web page, not the file"):
        run(server, tmp_path)


def test_nobody_there(tmp_path):
    with serving(Server()) as server:
        corpus = official(server)
    with pytest.raises(RunError, match="5 times in a row"):
        fetch(corpus, tmp_path, pause_seconds=0.001)


def test_only_what_is_wanted_and_only_from_the_web(server, tmp_path):
    corpus = official(server)
    with pytest.raises(InputError, match=r"no file of toy matches \*\.json; there are data/file\.bin"):
        fetch(corpus, tmp_path, only=["*.json"])
    with pytest.raises(InputError, match="is no address of the web"):
        fetch(corpus, tmp_path, mirror="file:///etc")
    assert fetch(corpus, tmp_path, only=["data/*"], mirror=f"{server.url}/copies/")[0].bytes == len(CONTENT)
    assert server.asked == [("/copies/toy/data/file.bin", None, None)]


def test_the_registry_is_whole():
    corpora = official_corpora()
    assert {"topiocqa", "qrecc", "cast", "ikat", "mtrag", "msmarco", "clueweb22"} <= corpora.keys()
    for corpus in corpora.values():
        assert corpus.licence and corpus.about.startswith("https://") and (corpus.files or corpus.licensed)
        names = [file.name for file in corpus.files]
        assert len(names) == len(set(names)) and all(file.url.startswith("https://") for file in corpus.files)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "is no registry of files"),
        ("[]", "the registry must be an object"),
        (
            '{"a": {"files": [{"name": "../x", "url": "u"}], "about": "a", "licence": "l"}}',
            "name must stay inside the corpus's folder",
        ),
        ('{"../a": {"files": [], "about": "a", "licence": "l"}}', "the corpus .*/a.* has no plain name"),
        ('{"a": {"files": [], "files": []}}', 'the key "files" is there twice'),
        *(
            (
                json.dumps({"a": {"files": [{"name": name, "url": "u"}], "about": "a", "licence": "l"}}),
                "must stay inside",
            )
            for name in ("/etc/x", "a/../../x", ".", "a//b", "a\\..\\b", "a\nb", "x" * 300)
        ),
        ('{"a": {"files": [{"url": "u"}], "about": "a", "licence": "l"}}', "a file of a has no name"),
    ],
)
def test_a_registry_of_ones_own_is_checked(tmp_path, content, message):
    (tmp_path / "registry.json").write_text(content)
    with pytest.raises(DataError, match=message):
        official_corpora(tmp_path / "registry.json")


def test_the_command_shows_licence_and_what_needs_a_signature(server, tmp_path, retort):
    registry = tmp_path / "registry.json"
    files = [{"name": "file.bin", "url": f"{server.url}/file.bin", "sha256": SHA256}]
    licensed = [{"what": "the passages", "where": "https://example.org/sign", "put": "passages.tsv"}]
    entry = {"about": "https://example.org", "licence": "CC BY 4.0", "files": files, "licensed": licensed, "notes": []}
    registry.write_text(json.dumps({"toy": entry}))
    done = retort("fetch", "toy", "--to", tmp_path / "to", "--registry", registry)
    assert done.code == 0, done.err
    assert "licence: CC BY 4.0" in done.out and "checksum as published" in done.out
    assert f"from https://example.org/sign, as {tmp_path / 'to/toy/passages.tsv'}" in done.out
    told = retort("fetch", "toy", "--to", tmp_path / "to", "--registry", registry, "--json").json()
    assert told["files"][0]["reused"] and told["licensed"][0]["what"] == "the passages"
    unknown = retort("fetch", "toi", "--to", tmp_path / "to", "--registry", registry)
    assert (unknown.code, unknown.out) == (2, "") and "no official files of 'toi' are known" in unknown.err
    server.status = [404]
    gone = retort("fetch", "toy", "--to", tmp_path / "elsewhere", "--registry", registry)
    assert gone.code == 1 and "failed: " in gone.err
