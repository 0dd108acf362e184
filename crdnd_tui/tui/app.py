"""The app: which screens exist, the keys that work everywhere, themes, and what happens on leaving."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.events import Key, ScreenResume
from textual.filter import LineFilter
from textual.reactive import reactive
from textual.screen import Screen

from crdnd_tui.core.palette import PALETTES
from crdnd_tui.core.session import Session
from crdnd_tui.core.text import display
from crdnd_tui.tui.dialogs.question import Question
from crdnd_tui.tui.themes import AsciiFilter, themes
from engine.spec.errors import CrdndError

if TYPE_CHECKING:
    from crdnd_tui.tui.demo.replay import Replay

SCREENS = {
    "runs": "RunsScreen",
    "new": "NewScreen",
    "live": "LiveScreen",
    "compare": "CompareScreen",
    "examples": "ExamplesScreen",
    "queue": "QueueScreen",
    "studies": "StudiesScreen",
}

FIRST_LOOK = 0.3  # seconds
SHELL_GONE = 0.1  # seconds


def _screen(name: str) -> Screen[Any]:
    """A screen is imported when it is first shown, so that the first paint waits for one only."""
    module = f"crdnd_tui.tui.screens.{name}" + ("" if name == "new" else ".screen")
    made: Screen[Any] = getattr(import_module(module), SCREENS[name])()
    return made


class LabApp(App[None]):
    """crdnd-tui. Closing it, or losing its terminal, hurts no run."""

    TITLE = "crdnd"
    CSS_PATH = sorted((Path(__file__).parent / "styles").glob("*.tcss"))
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {name: partial(_screen, name) for name in SCREENS}
    DEFAULT_MODE = "runs"
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(place), f"show('{name}')", name.title(), show=False, group=Binding.Group("Screens"))
            for place, name in enumerate(SCREENS, 1)
        ),
        Binding("colon", "command_palette", "Palette", show=False),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("t", "next_theme", "Theme", show=False, tooltip="the next one; the last one is remembered"),
        Binding("ctrl+z", "suspend_process", "Suspend", show=False),
        Binding("q", "leave", "Quit"),
        Binding("ctrl+q", "leave", "Quit", show=False, priority=True),
        Binding("ctrl+c", "leave", "Quit", show=False),
    ]

    machine_note: reactive[str] = reactive("")

    def __init__(
        self, session: Session, *, theme: str = "crdnd-dark", run: str = "", before: Session | None = None
    ) -> None:
        """`before` is what D on Runs goes back to when `session` is the demo's."""
        super().__init__()
        self.session, self._before = session, before
        self.current = run
        self.compared: tuple[str, ...] = ()
        self.draft: tuple[str, Path | None] | None = None
        self._replay: Replay | None = None
        self._remembering, self._told = Lock(), False
        for ours in themes():
            self.register_theme(ours)
        self.theme = theme if theme in PALETTES else "crdnd-dark"

    def on_mount(self) -> None:
        """A run that was named is opened at once."""
        if self.current:
            self.show("live")
        self.app_resume_signal.subscribe(self, self._back_from_the_shell)
        self.set_timer(FIRST_LOOK, self.look_at_the_machine)  # the runs themselves come first
        self.set_interval(2.0, self.look_at_the_machine)
        if not self.session.readonly:
            self.go_on_with_the_queue()

    def _back_from_the_shell(self, _app: object) -> None:
        """After ctrl+z and fg: Textual takes a line that has not changed for one that is still on the screen."""
        self.set_timer(SHELL_GONE, partial(self.screen.refresh, layout=True))

    @work(thread=True, group="queue")
    def go_on_with_the_queue(self) -> None:
        """Runs that wait get a worker again, when a restart of the machine took it away."""
        from crdnd_tui.queue import worker  # noqa: PLC0415  not needed for the first paint

        try:
            worker.wake(self.session.runs)
        except (CrdndError, OSError) as error:
            words = f"The queue stands still: {display(str(error), 200)}"
            self.call_from_thread(self.notify, words, severity="warning", markup=False)

    def get_key_display(self, binding: Binding) -> str:
        """Enter by its name: its sign is in few fonts, and in no ASCII."""
        return binding.key_display or "enter" if binding.key == "enter" else super().get_key_display(binding)

    @work(thread=True, exclusive=True, group="machine")
    def look_at_the_machine(self) -> None:
        """GPU and living runs, for the head line."""
        from crdnd_tui.tui.machine_note import note  # noqa: PLC0415  not needed for the first paint

        words = note(self.session)
        self.call_from_thread(setattr, self, "machine_note", words)

    def show(self, screen: str) -> None:
        """Bring one of the screens to the front."""
        while len(self.screen_stack) > 1:
            self.pop_screen()
        if self.current_mode == screen:
            self.screen.post_message(ScreenResume())  # it may have something else to show now
        else:
            self.switch_mode(screen)

    def open_run(self, run: str, screen: str = "live") -> None:
        """Show this run on `live` or `examples`."""
        self.current = run
        self.show(screen)

    def compare_runs(self, runs: Sequence[str]) -> None:
        """Lay these runs side by side."""
        self.compared = tuple(runs)
        self.show("compare")

    def edit_preset(self, text: str, path: Path | None = None) -> None:
        """The New screen with this preset."""
        self.draft = (text, path)
        self.show("new")

    @work(exclusive=True, group="demo")
    async def start_demo(self) -> None:
        """Play a recorded run in a folder of its own, and show it; all screens see that folder from now on."""
        from crdnd_tui.tui.demo.replay import start_replay  # noqa: PLC0415  not needed for the first paint

        if self._replay is None:
            self._replay = await asyncio.to_thread(start_replay, self.session)
            self._before, self.session = self.session, self._replay.session
            self.compared, self.draft = (), None
            before = self.current_mode
            for name in SCREENS:
                if name != before:
                    await self._forget(name)
            self.open_run(self._replay.id)
            self.notify("A recorded run plays. D on Runs goes back to your own.", timeout=5)
            if before != "live":
                await self._forget(before)
        else:
            self.open_run(self._replay.id)

    @property
    def in_demo(self) -> bool:
        """Whether the folder that is shown is the demo's."""
        return self._before is not None

    @work(exclusive=True, group="demo")
    async def leave_demo(self) -> None:
        """Back to the runs that were shown before; called while Runs is in front."""
        if self._before is None:
            return
        self.session, self._before, self.current = self._before, None, ""
        self.compared, self.draft = (), None
        for name in SCREENS:
            if name != self.current_mode:
                await self._forget(name)
        self.show("runs")
        if self._replay is not None:
            replay, self._replay = self._replay, None
            await asyncio.to_thread(replay.close)

    async def _forget(self, screen: str) -> None:
        """The screen is made anew when it is next shown."""
        await self.remove_mode(screen)
        self.add_mode(screen, self.MODES[screen])

    def on_unmount(self) -> None:
        """The demo's folder goes with the app."""
        if self._replay is not None:
            self._replay.close()

    def on_key(self, event: Key) -> None:
        """What nobody took, because only reading is allowed, is answered."""
        binding = self.screen.active_bindings.get(event.key) if self.session.readonly else None
        if binding is not None and not binding.enabled:
            self.notify(f"Read only: {binding.binding.description} is off.", markup=False, timeout=2)

    def action_show(self, screen: str) -> None:
        """A digit was pressed."""
        self.show(screen)

    def action_next_theme(self) -> None:
        """Dark, light, and round again."""
        names = list(PALETTES)
        self.choose_theme(names[(names.index(self.theme) + 1) % len(names)] if self.theme in names else names[0])

    def choose_theme(self, name: str) -> None:
        """From now on, and in the next sitting."""
        self.theme = name
        self.notify(f"theme {name.removeprefix('crdnd-')}", markup=False, timeout=1.5)
        if self.session.settings is not None:
            self._remember_theme(self.session.settings)

    @work(thread=True, group="settings")
    def _remember_theme(self, path: Path) -> None:
        from crdnd_tui.tui import settings  # noqa: PLC0415  not needed for the first paint

        try:
            with self._remembering:  # the last to write knows the last theme
                settings.remember(path, "theme", self.theme.removeprefix("crdnd-"))
        except OSError as error:
            if self._told:
                return
            self._told = True
            words = f"The theme cannot be remembered: {error.strerror or error}"
            self.call_from_thread(partial(self.notify, words, severity="warning", markup=False, timeout=4))

    def action_help(self) -> None:
        """All keys that work here."""
        from crdnd_tui.tui.help import HelpScreen  # noqa: PLC0415  not needed for the first paint

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.screen))

    def copy_to_clipboard(self, text: str) -> None:
        """Through the terminal (OSC 52), and say what was copied."""
        super().copy_to_clipboard(text)
        lines = text.count("\n") + 1
        self.notify(f"copied {lines} lines" if lines > 1 else f"copied {text[:40]}", markup=False, timeout=2)

    async def action_leave(self) -> None:
        """At once when nothing is at work; else say what keeps running, first."""
        from crdnd_tui.tui.leaving import still_working  # noqa: PLC0415  not needed for the first paint

        words = await asyncio.to_thread(still_working, self.session.runs)
        if not words or isinstance(self.screen, Question):
            self.exit()
            return

        def answered(word: str | None) -> None:
            if word == "quit":
                self.exit()

        await self.push_screen(Question("Quit", words, [("q", "quit")]), answered)

    async def action_quit(self) -> None:
        """The palette's Quit says the same as the key's."""
        await self.action_leave()

    def call_from_thread(self, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  Textual's
        """Of a thread that may outlive its screen: what it says to one that is taken down is dropped."""
        owner = getattr(callback, "__self__", None)

        def heard() -> Any:  # noqa: ANN401  whatever the callback gives
            gone = not self.is_running or (isinstance(owner, Screen) and not owner.display)
            return None if gone else callback(*args, **kwargs)

        return super().call_from_thread(heard) if self.is_running else None

    def get_line_filters(self) -> Sequence[LineFilter]:
        """ASCII last, when the terminal has nothing else."""
        filters = super().get_line_filters()
        return [*filters, AsciiFilter()] if self.session.ascii_only else filters

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette: screens, what can be done on this one, themes, help."""
        for place, name in enumerate(SCREENS, 1):
            yield SystemCommand(name.title(), f"the screen; key {place}", partial(self.show, name))
        from crdnd_tui.tui.help import deeds  # noqa: PLC0415  not needed for the first paint

        for node, binding in deeds(screen):
            yield SystemCommand(
                binding.description,
                f"{binding.tooltip or 'on this screen'}; key {self.get_key_display(binding)}",
                partial(self.run_action, binding.action, node),
            )
        for name in PALETTES:
            word = name.removeprefix("crdnd-")
            yield SystemCommand(f"Theme: {word}", "colours", partial(self.choose_theme, name))
        yield SystemCommand("Help", "all keys of this screen; key ?", self.action_help)
        yield SystemCommand("Quit", "runs go on; key q", self.action_leave)
