"""crdnd verify: an engine judges a saved student again and says whether the stored numbers hold."""

import subprocess
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from msgspec import structs
from rich.text import Text

from crdnd_tui.cli import output
from crdnd_tui.cli.output import FAILED, INTERRUPTED, OK, STOPPED
from crdnd_tui.core import verifying
from crdnd_tui.core.format import count
from crdnd_tui.core.text import grid_lines
from crdnd_tui.core.verifying import (
    MAX_LINE,
    PATIENCE,
    SIGNS,
    WORDS,
    VerifyCheck,
    VerifyEvent,
    VerifyProgress,
    VerifyReport,
    VerifyVerdict,
)
from engine.spec import rundir
from engine.spec.errors import CrdndError
from engine.spec.rundir import RunDir

COLOURS = {"holds": "green", "fails": "red"}


def verify(name: str, runs: Path, flags: Sequence[str], *, as_json: bool) -> int:
    """Every check as a row on stdout, what goes on on stderr; `flags` are passed to the engine."""
    run = rundir.find(runs, name)
    course = VerifyReport()
    with tempfile.TemporaryFile() as complaints:
        engine = subprocess.Popen(
            verifying.verify_command(run, flags), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints,
            start_new_session=True, env=verifying.environment(),
        )  # fmt: skip  # in a session of its own: Ctrl-C reaches it through us, once
        assert engine.stdout is not None
        try:
            for line in iter(partial(engine.stdout.readline, MAX_LINE), b""):
                if (word := verifying.decode_line(line)) is not None:
                    course = course.after(word)
                    _narrate(word)
            code = engine.wait()
        except KeyboardInterrupt:
            _stop(engine)
            output.say("interrupted; the run was only read", "yellow")
            return INTERRUPTED
        finally:
            if engine.poll() is None:
                _stop(engine)
        complaints.seek(0)
        last = complaints.read()
    if code == STOPPED:
        output.say("stopped; the run was only read", "yellow")
        return STOPPED
    if course.verdict is None:
        raise CrdndError(course.trouble(code, last))
    if as_json:
        checks = [structs.asdict(check) for check in course.checks]
        output.show_json({"run": run.id, **structs.asdict(course.verdict), "exit": code, "checks": checks})
    else:
        output.show(page(run, course.checks, course.verdict))
    return OK if code == OK else FAILED


def page(run: RunDir, checks: Sequence[VerifyCheck], verdict: VerifyVerdict) -> list[Text]:
    """One row for each check, and the verdict below."""
    rows = grid_lines([("", Text.assemble(_sign(check.verdict), f" {check.what}"), check.words) for check in checks])
    sign, style = _sign(verdict.verdict)
    said = WORDS.get(verdict.verdict, WORDS["unknown"])
    return [*rows, Text(), Text.assemble((f"{sign} {run.id} {said}", style), f": {verdict.words}")]


def _sign(verdict: str) -> tuple[str, str]:
    return SIGNS.get(verdict, SIGNS["unknown"]), COLOURS.get(verdict, "yellow")


def _narrate(word: VerifyEvent) -> None:
    """Each check, and the beginning and the end of each judgement."""
    match word:
        case VerifyCheck():
            output.say(f"{word.what}: {WORDS.get(word.verdict, '?')}, {word.words}")
        case VerifyProgress(done=done, total=total) if done in (0, total):
            what = " ".join(filter(None, (word.checkpoint, word.attack, word.part)))
            output.say(f"judging {what}: {count(done)} of {count(total)} images")


def _stop(engine: "subprocess.Popen[bytes]") -> None:
    engine.terminate()
    try:
        engine.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        engine.kill()
        engine.wait()
