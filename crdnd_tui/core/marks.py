"""Marks as every table, list and figure shows them: their signs, their sentences, which figures they concern. Pure.

Amber informs; red strikes the figure, which then is not believed, never bold, and never leads.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import takewhile
from string import ascii_letters
from typing import NamedTuple

from crdnd_tui.core.text import one_line
from engine.spec import marks as spec_marks
from engine.spec.events import Warned
from engine.spec.marks import MARKS, Severity, severity

SIGNS: Mapping[Severity | None, str] = {None: "", "amber": "!", "red": "!!"}
STRUCK = "!!"  # before the letters of a struck figure
LEGEND: Mapping[Severity, str] = {"amber": "! may mislead", "red": "!! struck out: not believed"}
DISBELIEVED = "!! struck out: not believed."
NOT_PROBED, NOT_READ = "not_probed", "marks_not_read"
_TELLING = frozenset(
    {"train_subset", "teacher_at_chance", "teacher_less_robust", NOT_PROBED, NOT_READ}
)  # by their own message


_READ_OFF = frozenset({"margin_below_ce", "suite_below_pgd", "rescaled_below_ce", "fgsm_below_pgd", "subset"})
"""Marks whose measured figures stand in the table itself."""
_SIGNED = re.compile(r" !(?=[ ,;:)]|$)").search  # no word of a label that happens to begin with the sign


class Marked(NamedTuple):
    """What stands beside one figure."""

    letters: str = ""
    severity: Severity | None = None

    @property
    def struck(self) -> bool:
        """Whether the figure is not believed."""
        return self.severity == "red"

    @property
    def signs(self) -> str:
        """`!!ab`: the sign of a struck figure, and the letters of its sentences."""
        return (STRUCK if self.struck else "") + self.letters

    @property
    def sign(self) -> str:
        """Behind a figure in a sentence, where no letters are: ` !`, ` !!`; empty without a mark."""
        return f" {SIGNS[self.severity]}" if self.severity else ""


UNMARKED = Marked()


def concerns(code: str, attack: str) -> bool:
    """Whether a mark of a whole run concerns its figures under this attack."""
    return bool(attack) and (code in MARKS or code in _TELLING) and spec_marks.concerns(code, attack)


def is_of(code: str, of_checkpoint: str, of_attack: str, checkpoint: str, attack: str) -> bool:
    """Whether a mark of this checkpoint and attack, of which empty is all, is one of the figure there."""
    return of_checkpoint in ("", checkpoint) and (of_attack == attack or (not of_attack and concerns(code, attack)))


def sentence(mark: Warned) -> str:
    """What is said of every figure with this mark; some marks have figures of their own in it."""
    return mark.message if mark.code in _TELLING and mark.message else MARKS.get(mark.code, mark.message)


def worst(codes: Iterable[str]) -> Severity | None:
    """Red if one of them is; None of no mark."""
    return gravest(map(severity, codes))


def gravest(severities: Iterable[Severity | None]) -> Severity | None:
    """Red if one of them is; None where none is given."""
    found = set(severities)
    return "red" if "red" in found else "amber" if "amber" in found else None


def legend(severities: Iterable[Severity | None]) -> str:
    """What the signs mean that are there: `! may mislead, !! struck out: not believed`; empty without any."""
    found = set(severities)
    return ", ".join(words for name, words in LEGEND.items() if name in found)


def explained(sentences: Iterable[str]) -> str:
    """What the sign in these sentences means; empty where none is. No red figure has a part in any."""
    return f"{LEGEND['amber']}; the notes of the tables say why." if any(_SIGNED(said) for said in sentences) else ""


def joined(every: Iterable[Marked]) -> Marked:
    """Of a figure that is made of several, such as a difference."""
    found = list(every)
    letters = "".join(sorted({letter for one in found for letter in one.letters}, key=ascii_letters.find))
    return Marked(letters, gravest(one.severity for one in found))


def letter(place: int) -> str:
    """Of the sentence at this place; after 52 of them they begin again."""
    return ascii_letters[place % len(ascii_letters)]


Note = tuple[str, str]  # letter, or "" where it holds for more than one figure, and its sentence


class Footnotes:
    """A letter for each sentence about figures, in the order in which they are met.

    With `measured`, all marks of one code share the sentence that is always said of it, after what was measured.
    """

    def __init__(self, *, measured: bool = False) -> None:
        self._measured = measured
        self._notes: dict[str, list[str]] = {}  # sentence -> what was measured, each once

    def letter(self, sentence: str) -> str:
        """The letter of this sentence; a new one when it was not said before."""
        self._notes.setdefault(sentence, [])
        return letter(list(self._notes).index(sentence))

    def marked(self, warnings: Iterable[Warned]) -> Marked:
        """What stands beside a figure with these marks."""
        found = list(warnings)
        letters = "".join({self._letter(warning) for warning in found})
        return joined([Marked(letters, worst(warning.code for warning in found))])

    def _letter(self, warning: Warned) -> str:
        if not self._measured:
            return self.letter(one_line(sentence(warning), 400))
        said = MARKS.get(warning.code, warning.message)
        found, figures = self.letter(said), _figures(warning)
        if figures and figures not in self._notes[said]:
            self._notes[said].append(figures)
        return found

    def __contains__(self, warning: Warned) -> bool:
        return MARKS.get(warning.code, warning.message) in self._notes

    def notes(self, letters: str | None = None) -> list[Note]:
        """These letters with their sentences, or all."""
        told = [". ".join(filter(None, ("; ".join(of), said))) for said, of in self._notes.items()]
        lettered = [(letter(k), one_line(said, 600) if self._measured else said) for k, said in enumerate(told)]
        return [note for note in lettered if letters is None or note[0] in letters]


def _figures(warning: Warned) -> str:
    """What was measured: the message before what is always said; of another wording, its sentences with numbers."""
    always, message = MARKS.get(warning.code), warning.message
    if always is None or warning.code in _READ_OFF:
        return ""
    if message.endswith(always):
        return message.removesuffix(always).strip().rstrip(".")
    return ". ".join(takewhile(re.compile(r"\d").search, message.split(". "))).strip().rstrip(".")
