"""Files that attack their reader, as functions which leave one at a path; and a run folder to plant them in."""

import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from engine.spec.rundir import RunDir

RECORDED = Path(__file__).parent / "tui" / "recorded"
ID, OTHER = "20261122-215930-rslad-small_cnn-s0-6622", "20261122-220122-rslad-small_cnn-s1-cd75"


def _is(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _sparse(path: Path) -> None:
    path.write_bytes(b"")
    os.truncate(path, 1 << 40)


def _everywhere(value: bytes) -> bytes:
    """An object whose every key that any reader knows holds this value."""
    keys = (
        "run", "phase", "state", "pid", "host", "created", "heartbeat", "epoch", "epochs", "results", "validation",
        "event", "seq", "time", "v", "device", "devices", "rank", "added", "study", "hashes", "git", "packages",
        "teacher", "data_sha256", "accuracy", "n", "of", "robust", "spec", "counts", "attacks", "shape", "format",
        "key", "earlier", "threads", "switches", "gpu", "layout", "config_hash", "name", "marks", "details", "digest",
        "findings",
    )  # fmt: skip
    return b"{" + b",".join(b'"%s":%s' % (key.encode(), value) for key in keys) + b"}"


DIGITS = b"9" * 5000
CONTENTS: dict[str, Callable[[Path], object]] = {
    "deep list": _is(b"[" * 200_000),
    "deep object": _is(b'{"run":' * 200_000),
    "deep toml": _is(b"a=" + b"[" * 60_000),
    "long key": _is(b"a" + b".a" * 20_000 + b"=1"),
    "digits": _is(_everywhere(DIGITS)),
    "toml digits": _is(b"at_once=" + DIGITS + b"\ntheme=" + DIGITS + b"\nseed=" + DIGITS + b"\n"),
    "hex digits": _is(b"at_once=0x" + b"f" * 40_000 + b"\nseed=0x" + b"f" * 20_000 + b"\n"),
    "1e400": _is(_everywhere(b"1e400")),
    "400 digits": _is(_everywhere(b"9" * 400)),
    "minus": _is(_everywhere(b"-1")),
    "nan": _is(_everywhere(b"NaN")),
    "null": _is(_everywhere(b"null")),
    "strings": _is(_everywhere(b'"x"')),
    "lists": _is(_everywhere(b"[[]]")),
    "objects": _is(_everywhere(b'{"x":{}}')),
    "list": _is(b"[]"),
    "number": _is(b"7"),
    "no utf-8": _is(b'{"run":"\xff\xfe\xed\xa0\x80"}'),
    "surrogates": _is(_everywhere(b'"\\ud800"')),
    "zeros": _is(bytes(4096)),
    "empty": _is(b""),
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "dangling": lambda path: path.symlink_to("nowhere"),
    "circle": lambda path: path.symlink_to(path.name),
    "sparse": _sparse,
}


def run(runs: Path, name: str = ID, *, of: str = ID) -> RunDir:
    """A finished run as it was recorded."""
    made = RunDir(runs / name)
    shutil.copytree(RECORDED / of, made.path)
    packed = made.path / "events.jsonl.gz"
    made.events.write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    return made


def plant(path: Path, content: str) -> None:
    """This content in place of what lies there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    CONTENTS[content](path)
