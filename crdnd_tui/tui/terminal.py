"""crdnd-tui: the terminal lab. Names and flags only; the app is imported when it is wanted."""

import asyncio
import contextlib
import locale
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from crdnd_tui.core import complete
from crdnd_tui.core.text import display, encodes_unicode
from engine.spec.errors import ConfigError, RunFolderError
from engine.spec.files import absolute
from engine.spec.process import replace_closed_streams
from engine.spec.rundir import RUN_ID, RunDir, find

if TYPE_CHECKING:
    from crdnd_tui.tui.app import LabApp

USAGE = 2
THEMES = ("dark", "light")
PATIENCE = 1.5  # seconds for the app to leave in good order once it was told to


def _version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata  # noqa: PLC0415  30 ms that nothing else needs

        typer.echo(f"crdnd {metadata.version('crdnd-tui')}")
        raise typer.Exit


def run(  # noqa: PLR0913  options of a command line
    run: Annotated[
        str, typer.Argument(help="A run to open at once: its id or the beginning of it.", autocompletion=complete.runs)
    ] = "",
    *,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it and leave.")] = False,
    demo: Annotated[bool, typer.Option("--demo", help="Replay a recorded run; nothing is computed.")] = False,
    speed: Annotated[float, typer.Option(min=0.1, max=100, help="Of the demo; 1 takes about 75 s.")] = 1.0,
    readonly: Annotated[
        bool, typer.Option("--readonly", help="Look only: nothing is started, stopped or written.")
    ] = False,
    theme: Annotated[str, typer.Option(envvar="CRDND_THEME", help="dark or light; else as t left it.")] = "",
    ascii_only: Annotated[bool, typer.Option("--ascii", help="Draw with ASCII only.")] = False,
    frames: Annotated[float, typer.Option("--fps", min=0.2, max=20, help="Pictures per second, at most.")] = 4.0,
    device: Annotated[
        str, typer.Option(envvar="CRDND_DEVICE", help="Of new runs: auto, cpu, cuda, cuda:1 ...")
    ] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads of new runs; 0 = by the size of the model.")] = 0,
    data: Annotated[Path, typer.Option(envvar="CRDND_DATA", help="Folder of data sets and teachers.")] = Path("data"),
    runs: Annotated[Path, typer.Option(envvar="CRDND_RUNS", help="Folder of the runs.")] = Path("runs"),
) -> None:
    """The terminal lab for adversarial robustness distillation: pick a pair, launch, watch, compare."""
    if theme and theme not in THEMES:
        _refuse(f"--theme may be {', '.join(THEMES[:-1])} or {THEMES[-1]}, not `{theme}`.")
    if not _is_terminal():
        _refuse("crdnd-tui draws on a terminal; `crdnd run`, `crdnd runs` and `crdnd show` need none.")
    if os.environ.get("TERM", "dumb") == "dumb":
        _refuse("TERM is dumb or not set: nothing can be drawn; `crdnd run`, `crdnd runs` and `crdnd show` still work.")
    if demo and run:
        _refuse(f"--demo opens its own run, not `{run}`.")
    folder, sets = _whole(runs), _whole(data)
    opened = _found(folder, run) if run else None
    os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")  # read when Textual is imported
    from crdnd_tui.core.session import Session  # noqa: PLC0415
    from crdnd_tui.tui.app import LabApp  # noqa: PLC0415  --help does not wait for it
    from crdnd_tui.tui.settings import place, remembered  # noqa: PLC0415

    settings = place(os.environ)
    theme = f"crdnd-{theme or remembered(settings, 'theme')}"  # the app takes what is no theme for dark
    session = Session(
        runs=opened.path.parent if opened else folder,  # a run of another folder is shown with its neighbours
        data=sets,
        machine={"device": device, "threads": threads},
        readonly=readonly,
        ascii_only=ascii_only or not _shows_unicode(),
        frames=frames,
        settings=None if readonly else settings,
    )
    if demo:
        from crdnd_tui.tui.demo.replay import demonstration  # noqa: PLC0415

        with demonstration(session, speed) as (shown, first):
            code = asyncio.run(_sit(LabApp(shown, theme=theme, run=first, before=session)))
    else:
        code = asyncio.run(_sit(LabApp(session, theme=theme, run=opened.id if opened else "")))
    raise typer.Exit(code)


async def _sit(app: "LabApp") -> int:
    """The app until it is left; its exit code. Asked to go, or without its terminal, it goes; no run is touched."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, partial(_leave_soon, app, 128 + number))
    threading.Thread(target=_when_hung_up, args=(_leave_at_once,), daemon=True).start()
    await app.run_async()
    return int(app.return_code or 0)  # Textual itself would exit with 0 after a crash


def _leave_soon(app: "LabApp", code: int) -> None:
    timer = threading.Timer(PATIENCE, _leave_at_once, (code,))  # a dead terminal may hold Textual for ever
    timer.daemon = True
    timer.start()
    app.exit(return_code=code)


def _leave_at_once(code: int = 128 + signal.SIGHUP) -> None:
    """Nobody sees the screen any more: only what the demo made is put away."""
    demo = sys.modules.get("crdnd_tui.tui.demo.replay")
    if demo is not None:
        demo.close_all()
    os._exit(code)


def _when_hung_up(then: Callable[[], None]) -> None:
    """Textual would spin on a terminal that is gone where SIGHUP does not come, as under nohup."""
    watched = select.poll()
    watched.register(0, 0)  # nothing but the end is reported
    if any(what & select.POLLHUP for _, what in watched.poll()):
        then()


def _shows_unicode() -> bool:
    """By the stream, and by the locale as it is written: Python itself takes LC_ALL=C for UTF-8."""
    named = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_CTYPE", "LANG"))), "")
    known = "utf" in named.lower() or encodes_unicode(locale.getencoding())  # a server may lack a locale's files
    return known and encodes_unicode(getattr(sys.__stderr__, "encoding", None))


def _found(folder: Path, name: str) -> RunDir:
    try:
        found = find(folder, name)
    except RunFolderError as error:
        _refuse(str(error))
    if not RUN_ID.fullmatch(found.id):
        _refuse(f"{display(found.id)} is no name of a run folder.")
    return found


def _whole(path: Path) -> Path:
    try:
        return absolute(path)
    except ConfigError as error:
        _refuse(str(error))


def _is_terminal() -> bool:
    """Textual draws on stderr and reads keys from stdin."""
    return all(stream is not None and stream.isatty() for stream in (sys.__stdin__, sys.__stderr__))


def _refuse(words: str) -> NoReturn:
    typer.echo(words, err=True)
    raise typer.Exit(USAGE)


def main() -> None:
    """The entry point of `crdnd-tui`."""
    replace_closed_streams()
    app = typer.Typer(add_completion=True, pretty_exceptions_enable=False)
    app.command(context_settings={"help_option_names": ["-h", "--help"]})(run)
    try:
        app()
    except OSError as error:  # a full disk, a pipe that nobody reads
        _complain(error)
        sys.exit(1)


def _complain(error: OSError) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        os.write(2, f"{error.strerror or error}\n".encode())
