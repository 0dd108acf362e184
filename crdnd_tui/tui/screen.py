"""What every screen has: a head, a footer, size classes, and keys that change nothing when only reading is allowed."""

from collections.abc import Iterable
from typing import ClassVar, cast

from textual.app import ComposeResult
from textual.reactive import Reactive
from textual.screen import Screen
from textual.widget import Widget

from crdnd_tui.core.palette import Palette, named
from crdnd_tui.core.session import Lab, Session
from crdnd_tui.tui.widgets.foot import Foot
from crdnd_tui.tui.widgets.head import Head


class LabScreen(Screen[None]):
    """Subclasses yield their widgets from `body` and name the actions that write in CHANGES."""

    NAME: ClassVar[str] = ""  # on the head line
    SAYS: ClassVar[str] = ""  # one sentence for the help
    CHANGES: ClassVar[frozenset[str]] = frozenset()
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012  declared by Textual
        (0, "-narrow"),
        (100, "-wide"),
        (170, "-huge"),
    ]
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012  declared by Textual
        (0, "-flat"),
        (20, "-low"),
        (34, "-tall"),
    ]

    focused = Reactive[Widget | None](None, repaint=False)  # Textual draws the whole screen anew at every step

    def compose(self) -> ComposeResult:
        yield Head(self.NAME)
        yield from self.body()
        yield Foot()

    def body(self) -> Iterable[Widget]:
        """What lies between head and footer."""
        return ()

    @property
    def lab(self) -> Lab:
        """The app, by what screens may ask of it."""
        return cast(Lab, self.app)

    @property
    def session(self) -> Session:
        """Folders and flags."""
        return self.lab.session

    @property
    def palette(self) -> Palette:
        """Of the theme that is on."""
        return named(self.app.theme)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """An action that writes is shown, greyed out, and does nothing when only reading is allowed."""
        if self.is_attached and action in self.CHANGES and self.session.readonly:
            return None
        return super().check_action(action, parameters)
