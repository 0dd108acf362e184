"""The right end of the head line: the GPUs, and how many runs are at work."""

from crdnd_tui.core import gpu
from crdnd_tui.core.format import size
from crdnd_tui.core.session import Session
from crdnd_tui.tui.at_work import at_work


def note(session: Session) -> str:
    """`gpu0 H200 97 %  10.0 GiB of 141 GiB   3 running`; what there is not is left out."""
    parts = []
    for card in gpu.cards()[:2]:
        busy = f" {card.busy} %" if card.busy is not None else ""
        parts.append(f"gpu{card.index} {card.name}{busy}  {size(card.used)} of {size(card.total)}")
    engines, demo = at_work(session.runs)
    if demo:
        parts.append("demo")  # recorded; nothing is computed
    if engines:
        parts.append(f"{len(engines)} running")
    if session.readonly:
        parts.append("read only")
    return "   ".join(parts)
