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
import requests

from engine.spec import files, locks
from engine.spec.errors import TeacherError, brief
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
    if not destination.is_file():  # else whole, by its name; and the folder may be read-only
        files.make_folder(destination.parent)
        with locks.exclusive(destination.with_name(f".{destination.name}.lock")):
            if not destination.is_file():  # another process may have been faster
                return _download(source, url, destination, expected_sha256, min_bytes, max_bytes)
    found = files.sha256(destination)
    if trouble := _another(found, expected_sha256):
        raise TeacherError(trouble, where=str(destination), hint="Delete it to download it again.")
    return found


def _download(source: str, url: str, destination: Path, expected_sha256: str, min_bytes: int, max_bytes: int) -> str:
    partial = destination.with_name(f".{destination.name}.part")
    try:
        with os.fdopen(files.open_log(partial, anew=True, read=True), "w+b") as file:
            sink = _Sink(file, max_bytes)
            _from_https(url, sink) if url == source else _from_google_drive(source, sink)
            if sink.size < min_bytes:
                raise _RefusedError(
                    f"sent {sink.size} bytes ({seems(sink.head)}), and the file has at least {min_bytes}"
                )
            found = sink.sha256.hexdigest()
            if trouble := _another(found, expected_sha256):
                raise _RefusedError(f"sent another file: {trouble}")
            file.flush()
            files.sync(file.fileno())
        partial.replace(destination)
    except _RefusedError as refusal:
        hint = f"Download {url} by hand and save it as {destination}"
        what = f"{urllib.parse.urlsplit(url).hostname} {refusal}"
        raise TeacherError(what, where=f"download of {destination.name}", hint=hint) from None
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
        self.restart()

    def restart(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.size, self.head, self.sha256 = 0, b"", hashlib.sha256()

    def write(self, chunk: Any) -> int:  # noqa: ANN401  any buffer
        """Take the next bytes; _RefusedError when they cannot belong to a checkpoint."""
        if len(self.head) < HEAD:
            self.head = (self.head + bytes(chunk[:HEAD]))[:HEAD]
            if (kind := seems(self.head)) in PAGES:
                raise _RefusedError(f"sent {kind} in place of the file")
        before, self.size = self.size, self.size + len(chunk)
        if self.size > self.max_bytes:
            raise _RefusedError(f"sends more than the {self.max_bytes} bytes that the file may have")
        self.file.write(chunk)
        self.sha256.update(chunk)
        if self.size // SAY_EVERY > before // SAY_EVERY:
            log.info("downloaded %d MiB", self.size >> 20)
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
    with requests.Session() as session:
        session.headers.update({"User-Agent": "crdnd", "Accept-Encoding": "identity"})
        session.trust_env = urllib.parse.urlsplit(url).hostname != "127.0.0.1"  # which no proxy reaches
        session.hooks["response"].append(_check_redirect)
        trouble = etag = ""
        for attempt in range(ATTEMPTS):
            rest = {"Range": f"bytes={sink.size}-", "If-Range": etag} if sink.size and etag else {}
            try:
                with session.get(url, stream=True, timeout=TIMEOUT, headers=rest) as answer:
                    answer.raise_for_status()
                    etag = answer.headers.get("etag", "")
                    etag = "" if etag.startswith("W/") else etag  # a weak one does not promise equal bytes
                    if _take(answer, sink):
                        return
                trouble = f"broke off after {sink.size} bytes"
            except requests.HTTPError as error:
                assert error.response is not None
                trouble = f"answered {error.response.status_code} {error.response.reason}"
                if error.response.status_code < 500:
                    break
            except requests.RequestException as error:
                if not attempt and not sink.size:
                    raise _RefusedError(f"cannot be reached: {brief(error)}") from None
                trouble = f"broke off after {sink.size} bytes: {brief(error)}"
        raise _RefusedError(trouble)


def _take(answer: requests.Response, sink: _Sink) -> bool:
    """Write the body behind what came before, or from the start; whether the file is whole, if the server tells."""
    goes_on = answer.status_code == 206 and answer.headers.get("content-range", "").startswith(f"bytes {sink.size}-")
    if not goes_on:
        sink.restart()
    length = answer.headers.get("content-length", "")
    whole = sink.size + int(length) if length.isdecimal() else None
    if whole is not None and whole > sink.max_bytes:
        raise _RefusedError(f"announces {whole} bytes, and the file has at most {sink.max_bytes}")
    for chunk in answer.iter_content(CHUNK):
        sink.write(chunk)
    return whole in {None, sink.size}


def _check_redirect(answer: requests.Response, *_: object, **__: object) -> None:
    if answer.is_redirect:
        _check_address(urllib.parse.urljoin(answer.url, answer.headers["location"]))


def _check_address(url: str) -> None:
    """Only https; and http to this very machine, which nobody can listen in to."""
    parts = urllib.parse.urlsplit(url)
    if not parts.hostname or (parts.scheme != "https" and (parts.scheme, parts.hostname) != ("http", "127.0.0.1")):
        raise TeacherError(f"{url!r} is neither a Google Drive id nor an https address; nothing was downloaded")


def _another(found: str, expected: str) -> str:
    """What is wrong with a file of this SHA-256; empty where none, or this one, is expected."""
    same = not expected or found == expected
    return "" if same else f"the SHA-256 of the file is {found[:16]}..., expected {expected[:16]}..."
