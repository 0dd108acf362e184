"""crdnd-tui in a real pseudo-terminal: keys go in, and what a person would see is read from an emulated screen."""

import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pexpect
import pyte

ROOT = Path(__file__).parent.parent.parent
MAIN = "from crdnd_tui.tui.terminal import main; main()"
PATIENCE = 30.0  # seconds until a text must be there; a loaded machine is slow
KEYS = {
    "enter": "\r", "escape": "\x1b", "tab": "\t", "shift+tab": "\x1b[Z", "space": " ", "backspace": "\x7f",
    "up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D", "home": "\x1b[H", "end": "\x1b[F",
    "pageup": "\x1b[5~", "pagedown": "\x1b[6~", "delete": "\x1b[3~", "f5": "\x1b[15~", "f6": "\x1b[17~",
    **{f"ctrl+{letter}": chr(ord(letter) - 96) for letter in "abcdefghjklnopqrstuvwxyz"},
}  # fmt: skip
_UNKNOWN = re.compile(rb"\x1b\[[<>=][0-9;]*[A-Za-z]|\x1b\[\??[0-9;]*\$[a-z]")  # to pyte, which would print their ends
_CUT = re.compile(rb"\x1b(\[[<>=?]?[0-9;]*\$?)?$")  # a sequence whose end was not read yet


class Terminal:
    """A program in a terminal of this size. A text that does not appear fails with a picture of the screen.

    Unless a command is given, that is crdnd-tui with these arguments. Close it, or use it in a `with`.
    """

    def __init__(
        self,
        *arguments: str,
        size: tuple[int, int] = (120, 36),
        folder: Path | None = None,
        command: Sequence[str] | None = None,
        **environment: str,
    ) -> None:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "OMP_NUM_THREADS") if name in os.environ}
        self._home = tempfile.TemporaryDirectory(prefix="crdnd-tests-")  # nobody's own settings are read or changed
        fresh = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT),
                 "XDG_CONFIG_HOME": self._home.name}  # fmt: skip
        program = list(command) if command else [sys.executable, "-c", MAIN, *arguments]
        self.child = pexpect.spawn(
            program[0], program[1:], dimensions=(size[1], size[0]), cwd=str(folder or ROOT), timeout=PATIENCE,
            env={name: value for name, value in (kept | fresh | environment).items() if value},
        )  # fmt: skip
        self.child.delaybeforesend = None
        self.screen = pyte.Screen(*size)
        self.said = bytearray()  # all that was written to the terminal
        self._stream = pyte.ByteStream(self.screen)
        self._rest = b""

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def text(self) -> str:
        """The screen as it is, line by line, without the blanks at the right."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def press(self, *keys: str) -> None:
        """Keys by name (`enter`, `ctrl+c`, `down`) or as they are written (`n`, `?`)."""
        for key in keys:
            self.child.send(KEYS.get(key, key))
            self.look(0.15 if key == "escape" else 0.03)  # Esc alone and Esc as the beginning of a key

    def type(self, text: str) -> None:
        """Text into what has the focus."""
        self.child.send(text)
        self.look(0.03)

    def look(self, seconds: float = 0.1) -> bool:
        """Draw what arrives within so many seconds; False when the program has left."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                self._draw(self.child.read_nonblocking(1 << 16, timeout=left))
            except pexpect.TIMEOUT:
                return True
            except pexpect.EOF:
                return False
        return True

    def rest(self, quiet: float = 0.15) -> None:
        """Until the program draws nothing for this long: a long line may come in pieces."""
        before = -1
        while before != len(self.said):
            before = len(self.said)
            self.look(quiet)

    def wait(self, text: str, seconds: float = PATIENCE) -> str:
        """Until this text (a regular expression) is on the screen; the screen."""
        return self.until(lambda: re.search(text, self.text) is not None, f"no `{text}`", seconds)

    def wait_gone(self, text: str, seconds: float = PATIENCE) -> str:
        """Until this text is not on the screen any more."""
        return self.until(lambda: re.search(text, self.text) is None, f"still `{text}`", seconds)

    def resize(self, width: int, height: int) -> None:
        """As if the window was dragged."""
        self.screen.resize(height, width)
        self.child.setwinsize(height, width)

    def code(self, seconds: float = PATIENCE) -> int:
        """The exit code once the program has left; 128 + n when a signal ended it."""
        end = time.monotonic() + seconds
        while self.child.isalive():
            self.look(0.05)
            assert time.monotonic() < end, f"still there after {seconds:.0f} s:\n{self.picture()}"
        self.look(0.05)
        return 128 + self.child.signalstatus if self.child.signalstatus else int(self.child.exitstatus)

    def close(self) -> None:
        """End the program, whatever it does. Engines that it started go on."""
        if self.child.isalive():
            self.child.kill(signal.SIGKILL)
        self.child.close(force=True)
        self._home.cleanup()

    def picture(self) -> str:
        """The screen in a frame, for messages."""
        width = self.screen.columns
        return "\n".join(
            ["+" + "-" * width + "+", *(f"|{line}|" for line in self.screen.display), "+" + "-" * width + "+"]
        )

    def until(self, happened, what: str, seconds: float = PATIENCE) -> str:
        """Until this is true of what is shown; `what` tells what was missed."""
        end = time.monotonic() + seconds
        while not happened():
            here = self.look(0.1)
            if happened():
                break
            assert here, f"{what}, and the program left:\n{self.picture()}"
            assert time.monotonic() < end, f"{what} after {seconds:.0f} s:\n{self.picture()}"
        return self.text

    def _draw(self, content: bytes) -> None:
        self.said += content
        content = self._rest + content
        cut = _CUT.search(content)
        self._rest = content[cut.start() :] if cut else b""
        self._stream.feed(_UNKNOWN.sub(b"", content[: cut.start()] if cut else content))
