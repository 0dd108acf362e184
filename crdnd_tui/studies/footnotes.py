"""Letters for what is to be said of single numbers: one for each sentence, in the order in which they are met. Pure."""

from crdnd_tui.text import one_line
from engine.spec.events import Warned
from engine.spec.marks import MARKS

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Footnotes:
    """Of one table."""

    def __init__(self) -> None:
        self._sentences: list[str] = []

    def letter(self, sentence: str) -> str:
        """The letter of this sentence: a new one when it was not said before; after z come aa, ab ..."""
        if sentence not in self._sentences:
            self._sentences.append(sentence)
        return _numbered(self._sentences.index(sentence))

    def mark(self, warning: Warned) -> str:
        """The letter of what the evaluation suspects of a number."""
        return self.letter(one_line(MARKS.get(warning.code, warning.message), 400))

    def lines(self) -> list[tuple[str, str]]:
        """Each letter with its sentence."""
        return [(_numbered(place), sentence) for place, sentence in enumerate(self._sentences)]


def _numbered(place: int) -> str:
    turns, letter = divmod(place, len(_LETTERS))
    return _LETTERS[turns - 1] + _LETTERS[letter] if turns else _LETTERS[letter]
