"""A program in a real pseudo-terminal whose output is drained, and the CPU time it has used so far."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Sequence

_PATIENCE = 60.0  # seconds until something must have been drawn
_ESCAPES = re.compile(rb"\x1b\[[0-9;:<=>?]*[ -/]*[@-~]")


class Program:
    """Started at once. CPU time counts all its threads, since it was started, in nanosecond steps."""

    def __init__(self, command: Sequence[str], size: tuple[int, int] = (120, 40)) -> None:
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
            environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
            os.execvpe(command[0], list(command), environment)
        self._said = bytearray()  # so far, escape sequences and all

    def cpu(self) -> float:
        """Seconds."""
        return time.clock_gettime((~self.pid << 3) | 2)  # CPUCLOCK_SCHED of another process

    def drain(self, seconds: float) -> bool:
        """Read what comes within so many seconds, or the first of it; whether anything came."""
        if not select.select([self._terminal], [], [], seconds)[0]:
            return False
        try:
            chunk = os.read(self._terminal, 1 << 16)
        except OSError:  # the program has left
            return False
        self._said += chunk
        return bool(chunk)

    def wait(self, *texts: str) -> None:
        """Until all these texts were drawn."""
        wanted = [text.encode() for text in texts]
        end = time.monotonic() + _PATIENCE
        while True:
            self.drain(0.5)
            shown = _ESCAPES.sub(b"", bytes(self._said))
            missing = [text for text in wanted if text not in shown]
            if not missing:
                return
            if time.monotonic() > end:
                raise TimeoutError(f"{missing} was never drawn; the end of what was: {shown[-2000:]!r}")

    def settle(self, quiet: float = 0.3) -> float:
        """CPU time once nothing was drawn for so many seconds."""
        while self.drain(quiet):
            pass
        return self.cpu()

    def watch(self, seconds: float) -> None:
        """Drain for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.drain(left)

    def press(self, keys: str) -> None:
        """As if they were typed."""
        os.write(self._terminal, keys.encode())

    def spent(self, keys: str, quiet: float = 0.3) -> float:
        """CPU seconds from these keys until the picture stands still."""
        before = self.cpu()
        self.press(keys)
        self.drain(5.0)
        return self.settle(quiet) - before

    def leave(self, keys: str = "") -> int:
        """Its exit code, after these keys; without any it is killed."""
        if keys:
            self.press(keys)
        else:
            os.kill(self.pid, signal.SIGKILL)
        while self.drain(5.0):
            pass
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self._terminal)
        return code
