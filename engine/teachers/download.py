"""Downloads that end in a whole, plausible file under its final name, or in one clear sentence and no file.

A server's apology is an answer like any other, with status 200: what arrives is looked at before it is believed.
"""

import email.message
import hashlib
import http.client
import logging
import os
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, BinaryIO, cast

import gdown

from engine.spec import files, locks
from engine.spec.errors import TeacherError
from engine.spec.files import make_folder, open_log
from engine.teachers.file_kind import HEAD, PAGES, seems

TIMEOUT = 60.0  # seconds without a byte
ATTEMPTS = 4  # a torn connection is taken up again where it tore, if the server can
CHUNK = 1 << 20
SAY_EVERY = 64 << 20  # bytes between two lines of the log
_DRIVE_ID = re.compile(r"[A-Za-z0-9_-]{20,60}")
_gdown_failures: tuple[type[Exception], ...] = tuple(
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
    with locks.waited_for(destination.with_name(f".{destination.name}.lock")):
        if destination.is_file():  # another process was faster
            return _expect(files.sha256(destination), expected_sha256, destination, url)
        try:
            with os.fdopen(open_log(partial, anew=True, read=True), "w+b") as file:
                sink = _Sink(file, max_bytes)
                try:
                    if url == source:
                        _from_https(url, sink)
                    else:
                        _from_google_drive(source, sink)
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
    """Where the bytes go: it looks at the first ones, counts, hashes, and refuses more than there may be."""

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self.file, self.max_bytes = file, max_bytes
        self.validator = ""  # the server's name for these bytes, under which the rest may be asked for
        self.restart()

    def restart(self) -> None:
        """Forget all that came."""
        self.file.seek(0)
        self.file.truncate()
        self.size, self.head, self.sha256 = 0, b"", hashlib.sha256()

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
        """gdown flushes what it writes to."""
        self.file.flush()


def _from_google_drive(drive_id: str, sink: _Sink) -> None:
    try:
        gdown.download(id=drive_id, output=cast(BinaryIO, sink), quiet=True, use_cookies=False)
    except _gdown_failures as error:
        raise _RefusedError(f"Google Drive does not hand the file out: {_line(error)}") from None
    except OSError as error:  # requests' errors are OSErrors
        if error.errno is not None:  # ours: the disk
            raise
        raise _RefusedError(f"Google Drive cannot be reached: {_line(error)}") from None


def _from_https(url: str, sink: _Sink) -> None:
    trouble = ""
    for _ in range(ATTEMPTS):
        try:
            if _one_answer(url, sink):
                return
            trouble = f"broke off after {sink.size} bytes"
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise _RefusedError(f"answered {error.code} {error.reason}") from None
            trouble = f"answered {error.code} {error.reason}"
        except (http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
            trouble = f"broke off after {sink.size} bytes: {_line(error)}"
        except urllib.error.URLError as error:
            raise _RefusedError(f"cannot be reached: {_line(error)}") from None
    raise _RefusedError(trouble)


def _one_answer(url: str, sink: _Sink) -> bool:
    """Ask once, for the rest if some came already; whether the file is whole now."""
    headers = {"User-Agent": "crdnd", "Accept-Encoding": "identity"}
    if sink.size and sink.validator:
        headers |= {"Range": f"bytes={sink.size}-", "If-Range": sink.validator}
    request = urllib.request.Request(url, headers=headers)
    with _opener(url).open(request, timeout=TIMEOUT) as answer:
        if answer.status == 206 and _begins_at(answer.headers) == sink.size:
            whole = sink.size + _length(answer.headers)
        else:
            sink.restart()
            whole = _length(answer.headers)
        tag = answer.headers.get("ETag", "")
        sink.validator = "" if tag.startswith("W/") else tag  # a weak one does not promise equal bytes
        if whole > sink.max_bytes:
            raise _RefusedError(f"announces {whole} bytes, and the file has at most {sink.max_bytes}")
        while chunk := answer.read(CHUNK):
            sink.write(chunk)
    return whole < 0 or sink.size == whole


def _length(headers: email.message.Message) -> int:
    text = headers.get("Content-Length", "")
    return int(text) if text.isdigit() else -1


def _begins_at(headers: email.message.Message) -> int:
    match = re.match(r"bytes (\d+)-", headers.get("Content-Range", ""))
    return int(match[1]) if match else -1


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: Any,  # noqa: ANN401
        code: int,
        msg: str,
        headers: Any,  # noqa: ANN401
        newurl: str,
    ) -> urllib.request.Request | None:
        _check_address(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str) -> urllib.request.OpenerDirector:
    if urllib.parse.urlsplit(url).hostname == "127.0.0.1":  # never through a proxy
        return urllib.request.build_opener(_SafeRedirects, urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(_SafeRedirects)


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


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
