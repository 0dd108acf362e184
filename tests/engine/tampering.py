"""Verifying a run that was tampered with."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from engine.evaluate.outcomes import FAILS, CheckResult
from engine.runtime.interrupt import Interrupt
from engine.spec.rundir import RunDir
from engine.teachers import weights
from engine.verify import __main__ as main


def parsed(run: RunDir, data: Path, *words: str) -> argparse.Namespace:
    return main._parser().parse_args([str(run.path), "--data", str(data), *words])


def verified(run: RunDir, data: Path, *words: str) -> list[CheckResult]:
    return list(main.verify(parsed(run, data, *words), Interrupt(main.NEVER)))


def failed(run: RunDir, data: Path, *words: str) -> set[str]:
    findings = verified(run, data, *words)
    assert (main.conclude(findings)[0] == FAILS) == any(f.verdict == FAILS for f in findings)
    return {f.what for f in findings if f.verdict == FAILS}


def events_of(run: RunDir) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.events.read_bytes().splitlines()]


def write_events(run: RunDir, events: list[dict[str, Any]], *, renumber: bool = False) -> None:
    """A log of these events, numbered anew if that is wanted."""
    numbered = [event | ({"seq": k} if renumber else {}) for k, event in enumerate(events, 1)]
    run.events.write_text("".join(json.dumps(event) + "\n" for event in numbered))


def edit(path: Path, **changes: Any) -> None:
    """Other values in a JSON table."""
    path.write_text(json.dumps(json.loads(path.read_bytes()) | changes))


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    before = path.read_text()
    after = change(before)
    assert after != before
    path.write_text(after)


def reweighed(path: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]], **facts: str) -> None:
    """Weights with other tensors or facts, under a digest of their own."""
    tensors, known = weights.load(path)
    state, net = change(tensors), nn.Module()
    net.state_dict = lambda: state  # type: ignore[method-assign,assignment]
    weights.save(path, net, {key: value for key, value in (known | facts).items() if key != "digest"})
