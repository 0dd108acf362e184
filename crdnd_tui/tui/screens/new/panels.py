"""What the New screen says about the field in focus and about the cost, as text."""

from rich.text import Text

from crdnd_tui.core.palette import Palette
from crdnd_tui.core.text import display, one_line, pad
from crdnd_tui.tui.form import kinds, prospect
from crdnd_tui.tui.form.editing import Editing
from crdnd_tui.tui.form.form import MACHINE, Entry
from crdnd_tui.tui.form.prospect import Prospect

ESTIMATE_ROWS = 5  # as new.tcss has it: a panel that grew and shrank would shake the form
FIRST_STEPS = (("ctrl+s", "launches this run as it is"), ("f6", "queues it"), ("f5", "explains it"))
KEYS = "\u2191\u2193 fields   [ ] tabs   enter choices   ctrl+r default   ? all keys"


def help_text(entry: Entry | None, palette: Palette, *, readonly: bool) -> Text:
    """The field in focus: its key, what it may be, what it is. Without one: how to go on."""
    text = Text()
    if entry is None:
        for key, words in FIRST_STEPS[2 if readonly else 0 :]:
            text.append(key, f"bold {palette.accent}")
            text.append(f" {words}   ", palette.text)
        text.append(f"\n{KEYS}\n", palette.muted)
        text.append("\u2022 ", palette.accent)
        text.append("set by this preset; all else is what holds by itself", palette.muted)
        return text
    machine = entry.key[0] == MACHINE
    text.append(one_line(entry.dotted.removeprefix(f"{MACHINE}."), 60), f"bold {palette.text}")
    text.append("   of this machine, not of the preset" if machine else "", palette.muted)
    if entry.kind == "attack":
        text.append("   space in or out   enter settings   + once more", palette.muted)
    else:
        default = one_line(kinds.shown(entry.default, short=True), 40)
        known = [entry.allowed, f"default {default}" if default else "must be given" if entry.required else ""]
        text.append("".join(f"   {words}" for words in known if words), palette.muted)
    chosen = entry.default if entry.value is None else entry.value
    option = next((option for option in entry.options if option.value == kinds.shown(chosen)), None)
    more = [entry.help, option.note if option and option.note not in entry.help else ""]
    for line in filter(None, more):
        text.append(f"\n{display(line)}", palette.text)
    return text


def estimate_text(editing: Editing, found: Prospect | None, palette: Palette, *, brief: bool) -> Text:
    """The cost, or the mistakes that are in the way. `brief`: on one line."""
    text = Text()
    if editing.config is None:
        count = len(editing.problems)
        told = [editing.short(problem) for problem in editing.problems[: 1 if brief else ESTIMATE_ROWS - 1]]
        text.append(f"\u2717 {count} mistake{'s' if count > 1 else ''}", palette.bad)
        text.append(f": {told[0]}" if brief else " before this can be launched", palette.bad)
        for line in [] if brief else told:
            text.append(f"\n  {line}", palette.muted)
    elif brief:
        text.append(prospect.brief(editing.config, found), palette.text)
    else:
        for what, value, more in prospect.rows(editing.config, found):
            text.append(f"{pad(what, 11)}", palette.muted)
            bold = "bold " if what == "time" else ""
            text.append(display(value), palette.warn if what == "equal run" and ", " in value else bold + palette.text)
            text.append(f"  {display(more)}\n", palette.muted)
        text.rstrip()
    return text
