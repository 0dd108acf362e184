"""Driving the app in tests: recorded runs, a stopped clock, and screenshots that are compared with those on disk."""

import asyncio
import gzip
import os
import re
import shutil
import tempfile
import time
from asyncio.base_events import BaseEventLoop
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import textual.app
import textual.pilot
from textual._context import active_app
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet
from textual.pilot import Pilot

from crdnd_tui.core import gpu
from crdnd_tui.core.session import Session
from crdnd_tui.tui.app import LabApp

HERE = Path(__file__).parent
RECORDED = HERE / "recorded"  # folders of real runs, without weights
PICTURES = HERE / "pictures"
NOW = 1_795_400_000.0  # the stopped clock, unix seconds; later than all recorded runs
PATIENCE = 10.0  # seconds
SOON = 0.02  # seconds: timers of frames and of new sizes are waited for
SIZES = {"80x24": (80, 24), "120x36": (120, 36)}

Story = Callable[[LabApp, "Pilot[None]"], Awaitable[Any]]


def recorded(folder: Path, *names: str) -> Path:
    """A runs folder with copies of these recorded runs, or of all."""
    folder.mkdir(parents=True, exist_ok=True)
    for run in sorted(RECORDED.iterdir()):
        if not names or any(name in run.name for name in names):
            copy = folder / run.name
            shutil.copytree(run, copy, ignore=shutil.ignore_patterns("*.gz"))
            (copy / "events.jsonl").write_bytes(gzip.decompress((run / "events.jsonl.gz").read_bytes()))
    return folder


def drive(
    story: Story,
    runs: Path,
    *,
    size: tuple[int, int] = (120, 36),
    theme: str = "crdnd-dark",
    run: str = "",
    **flags: Any,
) -> Any:
    """The app on these runs at this size; `story(app, pilot)` presses keys and looks."""
    gpu._nvml[:] = [None]  # no screenshot shows this machine's cards
    os.environ["TZ"] = "UTC"
    time.tzset()

    async def go() -> Any:
        session = Session(**{"runs": runs, "data": runs.parent / "data", "now": lambda: NOW} | flags)
        app = LabApp(session, theme=theme, run=run)
        async with app.run_test(size=size) as pilot:
            await settle(pilot)
            return await story(app, pilot)

    return asyncio.run(go())


async def idle(_min_sleep: float = 0.0, max_sleep: float = PATIENCE) -> None:
    """Until what is left to do waits for a clock, and all is drawn; at most `max_sleep` seconds.

    Textual's own function waits for 20 ms in which the process computes nothing: slow, and a guess on a busy machine.
    """
    loop: Any = asyncio.get_running_loop()
    end = time.monotonic() + max_sleep
    drawn, frames = False, 5
    while not drawn and time.monotonic() < end:
        await asyncio.sleep(0)
        soon = [
            timer.when() for timer in loop._scheduled if not timer.cancelled() and timer.when() < loop.time() + SOON
        ]
        if loop._ready:
            continue
        if threads := {future for future in _threads if future.get_loop() is loop and not future.done()}:
            await asyncio.wait(threads, timeout=end - time.monotonic(), return_when=asyncio.FIRST_COMPLETED)
        elif soon:
            await asyncio.sleep(max(soon) - loop.time())
        elif frames and _is_undrawn():
            frames -= 1
            await asyncio.sleep(SOON)
        else:
            drawn = True


def _is_undrawn() -> bool:
    """Whether the screen in front will be laid out or painted with its next frame."""
    app = active_app.get(None)
    screen: Any = app.screen if app is not None and app.screen_stack else None
    return screen is not None and (screen._layout_required or screen._repaint_required or bool(screen._dirty_widgets))


_run_in_executor, _threads = BaseEventLoop.run_in_executor, set["asyncio.Future[Any]"]()


def _run_counted(loop: BaseEventLoop, *words: Any) -> "asyncio.Future[Any]":
    """Work that was given to threads is known until it is done."""
    future = _run_in_executor(loop, *words)
    work = getattr(words[-1], "func", words[-1])
    if getattr(work, "__name__", "") != "_follow":  # lasts as long as the Live screen is in front
        _threads.add(future)
        future.add_done_callback(_threads.discard)
    return future


_parse_rules, _parsed = Stylesheet._parse_rules, dict[Any, list[RuleSet]]()


def _parse_once(sheet: Stylesheet, *words: Any, **named: Any) -> list[RuleSet]:
    """Style sheets are parsed once in a process, not for every app; variables are the theme."""
    key = (tuple(sorted(sheet._variables.items())), words, tuple(sorted(named.items())))
    if key not in _parsed:
        _parsed[key] = _parse_rules(sheet, *words, **named)
    return _parsed[key]


BaseEventLoop.run_in_executor = _run_counted  # type: ignore[method-assign, assignment]
Stylesheet._parse_rules = _parse_once  # type: ignore[method-assign]
textual.app.wait_for_idle = textual.pilot.wait_for_idle = idle


async def settle(pilot: "Pilot[None]") -> None:
    """Until the workers that read have read, and what they said is drawn."""
    await pilot.pause()
    await idle()


async def same_picture(app: LabApp, name: str) -> None:
    """The screen equals pictures/<name>.svg, at the latest after `PATIENCE`; CRDND_PICTURES=new writes it instead.

    A slow machine draws late: borders, footer and what threads have read come some frames after the rest.
    """
    path = PICTURES / f"{name}.svg"
    if os.environ.get("CRDND_PICTURES") == "new":
        path.write_text(_drawn(app), encoding="utf-8")
        return
    assert path.is_file(), f"no picture {path.name}: CRDND_PICTURES=new pytest ... writes it; look at it"
    wanted, end = path.read_text(encoding="utf-8"), time.monotonic() + PATIENCE
    drawn = _drawn(app)
    while drawn != wanted and time.monotonic() < end:
        await asyncio.sleep(0.1)
        drawn = _drawn(app)
    if drawn != wanted:
        failed = Path(tempfile.gettempdir()) / "crdnd-pictures"
        failed.mkdir(parents=True, exist_ok=True)
        (failed / path.name).write_text(drawn, encoding="utf-8")
        raise AssertionError(f"{name} looks otherwise; what was drawn: {failed / path.name}")


def _drawn(app: LabApp) -> str:
    """The screen as SVG, without the number that Rich makes of segments and their hidden places."""
    return re.sub(r"terminal-\d+", "terminal", app.export_screenshot(title="crdnd"))
