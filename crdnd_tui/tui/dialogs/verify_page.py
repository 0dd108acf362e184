"""What the verify dialog says: the choice with its costs, the checks, the judgement under way, the verdict."""

import textwrap

from rich.text import Text

from crdnd_tui.core.attack_names import PARTS, attack_title
from crdnd_tui.core.format import count, duration
from crdnd_tui.core.palette import Palette
from crdnd_tui.core.text import bar, pad
from crdnd_tui.core.verifying import SIGNS, WORDS, VerifyCost, VerifyReport

SAYS = (
    "Hashes, records, data and teacher are held against each other. Then the saved student is judged again with the "
    "same attacks, seed, batches and images, and compared image by image. The run is only read."
)
COSTS = "What the same judgements took in the run; the engine's start, files and data come on top."
NOTHING = "the files alone: no judgement is stored that could be repeated"
BAR = 24  # cells
BESIDE = 56  # cells of a line from which what was checked and what was found stand side by side


def choice(extents: tuple[VerifyCost, VerifyCost] | None, trouble: str, width: int, palette: Palette) -> list[Text]:
    """Quick or full: what each judges again, and how long that took in the run."""
    says = [Text(), *_wrapped(SAYS, width, palette.text)]
    if extents is None:
        return [*_wrapped(trouble or "reading \u2026", width, palette.warn if trouble else palette.muted), *says]
    offers = [_offer(*words, width, palette) for words in zip("qf", ("quick", "full"), extents, strict=True)]
    costs = _wrapped(COSTS, width, palette.muted)
    return [*(line for offer in offers for line in offer), Text(), *costs, *says]


def _offer(key: str, name: str, extent: VerifyCost, width: int, palette: Palette) -> list[Text]:
    head = Text.assemble((f"{key}  ", f"bold {palette.accent}"), (f"{name:<7}", "bold"))
    if extent.attacks:
        words = f"{' and '.join(extent.checkpoints)}: " + ", ".join(attack_title(attack) for attack in extent.attacks)
        cost = duration(extent.seconds) if extent.seconds >= 1 else "under 1 s"
    else:
        words, cost = NOTHING, ""
    room = max(10, width - head.cell_len - 9)
    lines = textwrap.wrap(words, max(10, room - 2), break_on_hyphens=False)
    first = head + Text(f"{pad(lines[0], room)}{cost:>9}")
    return [first, *(Text(" " * head.cell_len + line) for line in lines[1:])]


def checks(course: VerifyReport, width: int, palette: Palette) -> list[Text]:
    """A row for each check; what does not hold is not muted."""
    names = min(30, max((len(check.what) for check in course.checks), default=0))
    page = []
    for check in course.checks:
        sign, colour = _sign(check.verdict, palette)
        style = palette.muted if check.verdict == "holds" else palette.text
        head = Text.assemble((sign, f"bold {colour}"), f" {check.what:<{names}}  ")
        if width < BESIDE:
            page += [head, *(Text(f"  {line}", style) for line in textwrap.wrap(check.words, max(12, width - 2)))]
            continue
        first, *more = textwrap.wrap(check.words, max(12, width - head.cell_len)) or [""]
        page.append(Text.assemble(head, (first, style)))
        page += [Text(" " * head.cell_len + line, style) for line in more]
    return page


def now(course: VerifyReport, trouble: str, stopping: bool, width: int, palette: Palette) -> Text:
    """The verdict in one bold line; before it, the judgement under way."""
    if course.verdict is not None:
        sign, colour = _sign(course.verdict.verdict, palette)
        said = WORDS.get(course.verdict.verdict, WORDS["unknown"])
        return Text(f"{sign} {said}: {course.verdict.words}", f"bold {colour}")
    if trouble:
        return Text(trouble, f"bold {palette.warn}")
    if stopping:
        return Text("stopping \u2026", palette.warn)
    under_way = course.progress
    if under_way is None:
        return Text("checking \u2026" if course.checks else "the engine starts \u2026", palette.muted)
    part = PARTS.get(under_way.part, under_way.part)
    what = " ".join(filter(None, (under_way.checkpoint, attack_title(under_way.attack), part)))
    images = f"{count(under_way.done)} of {count(under_way.total)} images"
    room = min(BAR, width - len(what) - len(images) - 4)
    share = under_way.done / under_way.total if under_way.total else 0.0
    drawn = bar(share, room) if room >= 6 else ""
    return Text.assemble(
        f"{what}  ", (drawn, f"{palette.accent} on {palette.faint}"), f"  {images}" if drawn else images
    )


def tally(course: VerifyReport) -> str:
    """How many checks hold, fail, and cannot be said; empty before the first."""
    found = [check.verdict for check in course.checks]
    kinds = [(kind, found.count(kind)) for kind in SIGNS]
    return "  ".join(f"{SIGNS[kind]} {many}" for kind, many in kinds if many)


def _sign(verdict: str, palette: Palette) -> tuple[str, str]:
    colour = {"holds": palette.good, "fails": palette.bad}.get(verdict, palette.warn)
    return SIGNS.get(verdict, SIGNS["unknown"]), colour


def _wrapped(words: str, width: int, style: str) -> list[Text]:
    return [Text(line, style) for line in textwrap.wrap(words, max(16, width))]
