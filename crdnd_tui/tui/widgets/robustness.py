"""The robustness table, as the report says it, filling attack by attack; the attack under way shows how far it is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from crdnd_tui.core.attack_names import PARTS, attack_title
from crdnd_tui.core.format import count, duration, percent
from crdnd_tui.core.state import ENDED, RunState
from crdnd_tui.core.text import wrapped
from crdnd_tui.tui.widgets.cells import Cells, Part, Row, parts
from crdnd_tui.write import run_tables, tables
from crdnd_tui.write.document import Table
from engine.spec.events import AttackProgressed

_GLUE = "\u00a0"  # a space at which no line is broken
_WHOLE = 8  # rows below which the report shortens the table; above, it is scrolled
_INDENT = 2  # cells before each line of the report; the panel has its own


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the table is made of."""

    state: RunState
    suite: Sequence[str] = ()  # attacks that will be run
    living: bool = False
    now: float = 0.0  # unix seconds


class Robustness(Cells):
    """Rows of attacks, columns of checkpoints, notes below; scrolled where they do not fit."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, title="Robustness")
        self._judged = Judged(state=RunState())

    def show(self, judged: Judged) -> None:
        """The table as it is now."""
        before, self._judged = self._judged, judged
        if _changed(before, judged):
            self.redraw()

    def draw(self, width: int, height: int) -> list[Row]:
        state = self._judged.state
        table = run_tables.results_table(state, run_tables.chosen_checkpoint(state), planned=True)
        rows = self._filled(replace(table, title=""), width, height) if table else self._waiting(width)
        self._entitle(len(rows), height)
        return rows

    def _entitle(self, rows: int, height: int) -> None:
        state = self._judged.state
        cells = [cell for row in state.table.values() for cell in row.values()]
        whole = len(state.attacks) * len(state.checkpoints)
        done = "" if state.phase in ENDED or not whole else f"{len(cells)} of {whole} judged"
        more = f"\u2191\u2193 {rows} lines" if rows > height else ""
        self.name_it("Robustness", "   ".join(word for word in (done, more) if word))

    def _filled(self, table: Table, width: int, height: int) -> list[Row]:
        """The table of `crdnd show`; the attack under way below its row."""
        state, wide, spare = self._judged.state, width + _INDENT, run_tables.SPARE
        body = tables.body_lines(table, wide, height, spare)
        lines = tables.table_lines(table, wide, spare=spare) if height >= _WHOLE else body
        rows: list[Row] = [parts(line, self.palette, _INDENT) for line in lines]
        if state.attack:
            current = f"  {attack_title(state.attack.attack)}"
            place = next((k for k, line in enumerate(body) if line.plain.startswith(current)), len(body) - 1)
            rows[place + 1 : place + 1] = self._under_way(width)
        return rows

    def _under_way(self, width: int) -> list[Row]:
        """How far the attack is: of AutoAttack each part, and how many images still stand."""
        attack, palette = self._judged.state.attack, self.palette
        if attack is None:
            return []
        clock = duration(max(0.0, self._judged.now - self._judged.state.attack_since)) if self._judged.living else ""
        if not isinstance(attack, AttackProgressed):
            return [[("\u25b8 under way  ", palette.accent), (clock, palette.muted)]]
        part = PARTS.get(attack.part, attack.part) if attack.part not in ("", attack.attack) else ""
        head = f"\u25b8 {part} ".replace("  ", " ")
        words = f" {count(attack.done)}/{count(attack.total)}  {percent(attack.robust)} % still standing  {clock}"
        length = min(24, width - len(head) - len(words))
        share = min(1.0, max(0.0, attack.done / max(1, attack.total)))
        full = round(share * max(0, length))
        rows: list[Row] = [
            [
                (head, palette.accent),
                ("\u2501" * full, palette.accent),
                ("\u2500" * (max(0, length) - full), palette.faint),
                (words, palette.text),
            ]
        ]
        if attack.part in PARTS:
            rows.append(self._parts(attack.part))
        return rows

    def _parts(self, current: str) -> Row:
        """AutoAttack's four in their order."""
        palette, row, names = self.palette, list[Part](), list(PARTS)
        for place, name in enumerate(names):
            at = names.index(current)
            sign, look = (
                ("\u2713", palette.good)
                if place < at
                else ("\u25b8", palette.accent)
                if place == at
                else ("\u25cc", palette.muted)
            )
            row.append((f"  {sign} {PARTS[name]}", look))
        return row

    def _waiting(self, width: int) -> list[Row]:
        """Before the first cell: what will be run."""
        palette, judged = self.palette, self._judged
        suite = list(judged.state.evaluation.attacks) if judged.state.evaluation else list(judged.suite)
        ended = judged.state.phase in ENDED or not judged.living
        words = "not judged" if ended else "judged after training, on the test split, by"
        rows: list[Row] = [[(words, palette.muted)]]
        names = [f"\u25cc {attack_title(name)}".replace(" ", _GLUE) for name in suite]
        lines = wrapped("  ".join(names), width, indent="", hang="")
        rows += [[(line.plain.replace(_GLUE, " "), palette.muted)] for line in lines]
        return [*rows, *self._under_way(width)]


def _changed(before: Judged, now: Judged) -> bool:
    one, two = before.state, now.state
    same = (
        one.table is two.table
        and one.warnings is two.warnings
        and one.probed is two.probed
        and one.attack is two.attack
    )
    clock = two.attack is not None and int(before.now) != int(now.now)
    facts = (before.suite, before.living, one.phase, one.evaluation, one.training)
    return not same or clock or facts != (now.suite, now.living, two.phase, two.evaluation, two.training)
