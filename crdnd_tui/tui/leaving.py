"""What goes on when the terminal is closed, in words."""

from pathlib import Path

from crdnd_tui.queue.tickets import Queue
from crdnd_tui.tui.at_work import at_work
from crdnd_tui.tui.runs.run_rows import label


def still_working(runs: Path) -> list[str]:
    """One line for each living run, under a head line, and how many wait; empty when nothing is at work. Reads."""
    engines = at_work(runs, recent=0.0).engines
    waiting = sum(ticket.state == "waiting" for ticket in Queue(runs).tickets())
    if not engines and not waiting:
        return []
    many = f"{len(engines)} runs go" if len(engines) > 1 else "1 run goes"
    shown = [f"  {label(row)}" for row in engines[:8]]
    more = [f"  and {len(engines) - 8} more"] if len(engines) > 8 else []
    words = [f"{many} on in the background:", *shown, *more] if engines else []
    if waiting:
        words += [""] * bool(words) + [f"{waiting} wait{'s' * (waiting == 1)} in the queue, which goes on by itself."]
    return [*words, "", "Come back with crdnd-tui; x on Runs stops a run, on Queue it cancels one."]
