"""Downloads that end in a whole, plausible file under its final name, or in one clear sentence and no file.

A server's apology is an answer like any other, with status 200: what arrives is looked at before it is believed.
"""

import hashlib
import logging
import os
import re
import urllib.parse
from pathlib import Path
from typing import Any, BinaryIO, cast

import gdown
import pooch
import requests

from engine.spec import files, locks
from engine.spec.errors import TeacherError, brief
from engine.spec.files import make_folder, open_log
from engine.teachers.foreign import HEAD, PAGES, seems

TIMEOUT = 60.0  # seconds without a byte
ATTEMPTS = 4  # a broken download goes on where it broke, if the server can
CHUNK = 1 << 16
SAY_EVERY = 64 << 20  # bytes between two lines of the log
_DRIVE_ID = re.compile(r"[A-Za-z0-9_-]{20,60}")
_GDOWN_FAILURES: tuple[type[Exception], ...] = tuple(
    getattr(gdown.exceptions, name)
    for name in ("FileURLRetrievalError", "DownloadError")
    if hasattr(gdown.exceptions, name)
)

log = logging.getLogger(__name__)


def fetch(source: str, destination: Path, *, expected_sha256: str = "", min_bytes: int = 1, max_bytes: int) -> str:
    """Download a Google Drive id or an https address to `destination`; returns the SHA-256 of the file.

    Writes beside the target and renames, so a half file never bears the final name; two processes take turns, and
    the second one uses what the first one fetched. TeacherError when the source cannot be reached, or sends an HTML
    page, a truncated, an oversized or another file than expected.
    """
    url = f"https://drive.google.com/uc?id={source}" if _DRIVE_ID.fullmatch(source) else source
    _check_address(url)
    if destination.is_file():  # whole, by its name; and the folder may be read-only
        return _expect(files.sha256(destination), expected_sha256, destination, url)
    make_folder(destination.parent)
    partial = destination.with_name(f".{destination.name}.part")
    with locks.exclusive(destination.with_name(f".{destination.name}.lock")):
        if destination.is_file():  # another process was faster
            return _expect(files.sha256(destination), expected_sha256, destination, url)
        try:
            with os.fdopen(open_log(partial, anew=True, read=True), "w+b") as file:
                sink = _Sink(file, max_bytes)
                try:
                    _from_https(url, sink) if url == source else _from_google_drive(source, sink)
                except _RefusedError as refusal:
                    raise _failure(url, destination, str(refusal)) from None
                if sink.size < min_bytes:
                    what = f"sent {sink.size} bytes ({seems(sink.head)}), and the file has at least {min_bytes}"
                    raise _failure(url, destination, what)
                found = _expect(sink.sha256.hexdigest(), expected_sha256, destination, url)
                file.flush()
                files.sync(file.fileno())
            partial.replace(destination)
        finally:
            partial.unlink(missing_ok=True)
        files.sync_folder(destination.parent)
        return found


class _RefusedError(Exception):
    """Why what came is not taken."""


class _Sink:
    """The file that a downloader writes to: it looks at the first bytes, counts, hashes, and refuses too many."""

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self.file, self.max_bytes = file, max_bytes
        self.etag = ""  # the server's name for these bytes, under which the rest may be asked for
        self.whole: int | None = None  # bytes of the file as the server says, -1 where it does not; None: no answer yet
        self.size, self.head, self.sha256 = 0, b"", hashlib.sha256()

    def answered(self, response: requests.Response, *_: object, **__: object) -> None:
        """Hook of requests: follow only safe redirects; go on behind what came where the server does, or restart."""
        if response.is_redirect:
            _check_address(urllib.parse.urljoin(response.url, response.headers["location"]))
        if not response.ok or response.is_redirect:
            return
        begins = response.headers.get("content-range", "") if response.status_code == 206 else ""
        if not begins.startswith(f"bytes {self.size}-"):
            self.file.seek(0)
            self.file.truncate()
            self.size, self.head, self.sha256 = 0, b"", hashlib.sha256()
        length = response.headers.get("content-length", "")
        self.whole = self.size + int(length) if length.isdigit() else -1
        tag = response.headers.get("etag", "")
        self.etag = "" if tag.startswith("W/") else tag  # a weak one does not promise equal bytes
        if self.whole > self.max_bytes:
            raise _RefusedError(f"announces {self.whole} bytes, and the file has at most {self.max_bytes}")

    def write(self, chunk: Any) -> int:  # noqa: ANN401  any buffer
        """Take the next bytes; _RefusedError when they cannot belong to a checkpoint."""
        if len(self.head) < HEAD:
            self.head = (self.head + bytes(chunk[:HEAD]))[:HEAD]
            kind = seems(self.head)
            if kind in PAGES:
                raise _RefusedError(f"sent {kind} in place of the file")
        if self.size + len(chunk) > self.max_bytes:
            raise _RefusedError(f"sends more than the {self.max_bytes} bytes that the file may have")
        self.file.write(chunk)
        self.sha256.update(chunk)
        if (self.size + len(chunk)) // SAY_EVERY > self.size // SAY_EVERY:
            log.info("downloaded %d MiB", (self.size + len(chunk)) >> 20)
        self.size += len(chunk)
        return len(chunk)

    def flush(self) -> None:
        self.file.flush()


def _from_google_drive(drive_id: str, sink: _Sink) -> None:
    try:
        gdown.download(id=drive_id, output=cast(BinaryIO, sink), quiet=True, use_cookies=False)
    except _GDOWN_FAILURES as error:
        raise _RefusedError(f"Google Drive does not hand the file out: {brief(error)}") from None
    except OSError as error:  # requests' errors are OSErrors
        if error.errno is not None:  # ours: the disk
            raise
        raise _RefusedError(f"Google Drive cannot be reached: {brief(error)}") from None


def _from_https(url: str, sink: _Sink) -> None:
    local = urllib.parse.urlsplit(url).hostname == "127.0.0.1"  # never through a proxy
    trouble = ""
    for _ in range(ATTEMPTS):
        headers = {"User-Agent": "crdnd", "Accept-Encoding": "identity"}
        if sink.size and sink.etag:
            headers |= {"Range": f"bytes={sink.size}-", "If-Range": sink.etag}
        get = pooch.HTTPDownloader(
            chunk_size=CHUNK, timeout=TIMEOUT, headers=headers, hooks={"response": sink.answered},
            proxies={"http": ""} if local else None,
        )  # fmt: skip
        try:
            get(url, sink, None)
            if sink.whole in (-1, sink.size):
                return
            trouble = f"broke off after {sink.size} bytes"
        except requests.HTTPError as error:
            assert error.response is not None
            trouble = f"answered {error.response.status_code} {error.response.reason}"
            if error.response.status_code < 500:
                raise _RefusedError(trouble) from None
        except requests.RequestException as error:
            if sink.whole is None:
                raise _RefusedError(f"cannot be reached: {brief(error)}") from None
            trouble = f"broke off after {sink.size} bytes: {brief(error)}"
    raise _RefusedError(trouble)


def _check_address(url: str) -> None:
    """Only https; and http to this very machine, which nobody can listen in to."""
    parts = urllib.parse.urlsplit(url)
    if not parts.hostname or not (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname == "127.0.0.1")
    ):
        raise TeacherError(f"{url!r} is neither a Google Drive id nor an https address; nothing was downloaded")


def _expect(found: str, expected: str, destination: Path, url: str) -> str:
    if expected and found != expected:
        what = f"the SHA-256 of the file is {found[:16]}..., expected {expected[:16]}..."
        if destination.is_file():
            raise TeacherError(what, where=str(destination), hint="Delete it to download it again.")
        raise _failure(url, destination, f"sent another file: {what}")
    return found


def _failure(url: str, destination: Path, what: str) -> TeacherError:
    host = urllib.parse.urlsplit(url).hostname
    hint = f"Download {url} by hand and save it as {destination}"
    return TeacherError(f"{host} {what}", where=f"download of {destination.name}", hint=hint)
