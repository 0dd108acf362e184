"""Questions and words that stand in front of a screen."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static


class Question(ModalScreen[str]):
    """Some words and a few keys; answers with the chosen word, or an empty one on Escape.

    `choices` are (key, word) pairs; Enter takes the first.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back", show=False)]

    def __init__(self, title: str, words: Sequence[str], choices: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._title, self._words, self._choices = title, words, list(choices)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = Content(self._title)
            with VerticalScroll():
                yield Static("\n".join(self._words), markup=False)
            keys = "   ".join(f"{key} {word}" for key, word in [*self._choices, ("esc", "back")])
            yield Static(keys, classes="keys", markup=False)

    def on_key(self, event: object) -> None:
        """The keys of the choices."""
        key = getattr(event, "key", "")
        word = next((word for shown, word in self._choices if key == shown), None)
        if key == "enter" and self._choices and word is None:
            word = self._choices[0][1]
        if word is not None:
            event.stop()  # type: ignore[attr-defined]
            self.dismiss(word)

    def action_leave(self) -> None:
        """Nothing was chosen."""
        self.dismiss("")


class Ask(ModalScreen[str | None]):
    """One line of text; None on Escape."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back", show=False)]

    def __init__(self, title: str, value: str = "", hint: str = "") -> None:
        super().__init__()
        self._title, self._value, self._hint = title, value, hint

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = Content(self._title)
            yield Input(self._value, placeholder=self._hint, compact=True)
            yield Static("enter save   esc back", classes="keys", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The line as it stands."""
        self.dismiss(event.value)

    def action_leave(self) -> None:
        """Nothing was written."""
        self.dismiss(None)
