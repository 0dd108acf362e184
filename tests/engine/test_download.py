"""Laws of downloads, against a server on this machine that gives bad answers."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from engine.spec.errors import TeacherError
from engine.teachers import download

BODY = b"\x80\x02" + bytes(range(256)) * 40
SHA = hashlib.sha256(BODY).hexdigest()


ANSWERS: dict[str, dict[str, Any]] = {
    "good": {"body": BODY},
    "html": {"body": b"<!DOCTYPE html><html><body>Quota exceeded</body></html>" + b" " * 9000},
    "json": {"body": b'{"error": "rate limit"}'},
    "text": {"body": b"Sorry, too many people have asked for this file lately."},
    "missing": {"code": 404},
    "broken": {"code": 503},
    "empty": {},
    "small": {"body": BODY[:20]},
    "truncated": {"body": BODY[:5000], "length": len(BODY)},
    "large": {"body": BODY * 4},
    "moved": {"code": 302, "Location": "/good"},
    "downgraded": {"code": 302, "Location": "http://example.org/weights.pt"},
}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: ClassVar[dict[str, int]] = {}
    ranges: ClassVar[list[str]] = []

    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""

    def do_GET(self) -> None:
        name = self.path.strip("/")
        self.asked[name] = self.asked.get(name, 0) + 1
        if name in ANSWERS:
            self._send(**ANSWERS[name])
        else:
            getattr(self, f"_{name}")()

    def _send(self, *, body: bytes = b"", length: int | None = None, code: int = 200, **headers: str) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = length not in {None, len(body)}

    def _endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        for _ in range(100):
            self.wfile.write(BODY)

    def _torn(self) -> None:
        """The first answer breaks off; the rest is sent to who asks for it."""
        asked = self.headers.get("Range", "")
        if not asked:
            self._send(body=BODY[:3000], length=len(BODY), ETag='"one"')
            return
        self.ranges.append(f"{asked} {self.headers.get('If-Range', '')}")
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        span = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
        self._send(body=BODY[start:], code=206, Content_Range=span, ETag='"one"')

    def _torn_without_ranges(self) -> None:
        first = self.asked["torn_without_ranges"] == 1
        self._send(body=BODY[:3000] if first else BODY, length=len(BODY), ETag='"one"')


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "CHUNK", 1000)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as running:
        running.daemon_threads = True
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def _fetch(url: str, destination: Path, **options: Any) -> str:
    return download.fetch(url, destination, **({"min_bytes": 100, "max_bytes": 3 * len(BODY)} | options))


def _left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


@pytest.mark.parametrize("name", ["good", "moved", "torn", "torn_without_ranges"])
def test_a_good_answer_becomes_the_file_and_its_hash_is_returned(server: str, tmp_path: Path, name: str) -> None:
    target = tmp_path / "deep" / "w.pt"
    assert _fetch(f"{server}/{name}", target) == SHA
    assert target.read_bytes() == BODY
    assert _left(target.parent) == ["w.pt"]


def test_a_torn_download_is_taken_up_where_it_tore(server: str, tmp_path: Path) -> None:
    _Handler.ranges.clear()
    _fetch(f"{server}/torn", tmp_path / "w.pt", expected_sha256=SHA)
    assert _Handler.ranges == ['bytes=3000- "one"']


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("html", "an HTML page in place of the file"),
        ("json", "a JSON text in place of the file"),
        ("text", "a plain text in place of the file"),
        ("missing", "answered 404"),
        ("broken", "answered 503"),
        ("empty", "sent 0 bytes"),
        ("small", "sent 20 bytes"),
        ("truncated", "broke off after 5000 bytes"),
        ("large", "announces 40"),
        ("endless", "sends more than"),
        ("downgraded", "neither a Google Drive id nor an https address"),
    ],
)
def test_a_bad_answer_is_one_sentence_and_leaves_no_file(server: str, tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(TeacherError) as caught:
        _fetch(f"{server}/{name}", tmp_path / "w.pt")
    assert reason in str(caught.value)
    assert _left(tmp_path) == []
    if name != "downgraded":
        assert f"by hand and save it as {tmp_path / 'w.pt'}" in caught.value.hint


def test_another_file_than_expected_is_refused(server: str, tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match="sent another file"):
        _fetch(f"{server}/good", tmp_path / "w.pt", expected_sha256="0" * 64)
    assert _left(tmp_path) == []


def test_a_file_that_is_there_is_used_and_checked(server: str, tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(b"by hand")
    found = hashlib.sha256(b"by hand").hexdigest()
    assert _fetch(f"{server}/never", tmp_path / "w.pt") == found
    with pytest.raises(TeacherError, match="Delete it"):
        _fetch(f"{server}/never", tmp_path / "w.pt", expected_sha256=SHA)
    assert (tmp_path / "w.pt").read_bytes() == b"by hand"


def test_a_half_file_of_a_killed_download_is_no_obstacle(server: str, tmp_path: Path) -> None:
    (tmp_path / ".w.pt.part").write_bytes(b"x" * 100_000)
    assert _fetch(f"{server}/good", tmp_path / "w.pt") == SHA
    assert _left(tmp_path) == ["w.pt"]


def test_without_a_network_the_sentence_says_what_to_fetch_and_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match="cannot be reached") as caught:
        _fetch("http://127.0.0.1:9/w.pt", tmp_path / "w.pt")
    assert str(tmp_path / "w.pt") in caught.value.hint and "http://127.0.0.1:9/w.pt" in caught.value.hint
    assert _left(tmp_path) == []


@pytest.mark.parametrize(
    "address", ["http://example.org/w.pt", "ftp://example.org/w", "file:///etc/passwd", "w.pt", "http://localhost/w"]
)
def test_only_https_is_asked(tmp_path: Path, address: str) -> None:
    with pytest.raises(TeacherError, match="nothing was downloaded"):
        _fetch(address, tmp_path / "w.pt")


def test_two_at_once_fetch_once(server: str, tmp_path: Path) -> None:
    before = _Handler.asked.get("good", 0)
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(_fetch(f"{server}/good", tmp_path / "w.pt"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [SHA] * 4
    assert _Handler.asked["good"] == before + 1


DRIVE = "1hPz9QQwyM7QSuWu-ANG_uXR-29xtL8t_"


def _drive(monkeypatch: pytest.MonkeyPatch, *chunks: bytes, error: Exception | None = None) -> list[str]:
    asked = []

    def answer(*, id: str, output: Any, quiet: bool, use_cookies: bool) -> None:
        asked.append(id)
        for chunk in chunks:
            output.write(chunk)
        output.flush()
        if error is not None:
            raise error

    monkeypatch.setattr(download.gdown, "download", answer)
    return asked


def test_google_drive_goes_through_gdown_under_the_same_checks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = _drive(monkeypatch, BODY[:100], BODY[100:])
    assert _fetch(DRIVE, tmp_path / "w.pt") == SHA
    assert asked == [DRIVE]
    _drive(monkeypatch, b"<html>Virus scan warning</html>")
    with pytest.raises(TeacherError, match="HTML page"):
        _fetch(DRIVE, tmp_path / "v.pt")
    _drive(monkeypatch, BODY * 2, BODY * 2)
    with pytest.raises(TeacherError, match="sends more than"):
        _fetch(DRIVE, tmp_path / "v.pt")
    assert _left(tmp_path) == ["w.pt"]


def test_google_drives_refusal_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    quota = download.gdown.exceptions.FileURLRetrievalError("Too many users have viewed this file.\nTry later.")
    for error in (quota, OSError("no route to host")):
        _drive(monkeypatch, error=error)
        with pytest.raises(TeacherError, match="Google Drive") as caught:
            _fetch(DRIVE, tmp_path / "w.pt")
        assert f"https://drive.google.com/uc?id={DRIVE}" in caught.value.hint
    assert _left(tmp_path) == []


def test_a_full_disk_is_no_trouble_of_the_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _drive(monkeypatch, error=OSError(28, "No space left on device"))
    with pytest.raises(OSError, match="No space left"):
        _fetch(DRIVE, tmp_path / "w.pt")
    assert _left(tmp_path) == []
