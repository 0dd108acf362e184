"""Letters for what is to be said of single numbers: one for each sentence, in the order in which they are met. Pure."""

from crdnd_tui.core.marks import letter, sentence
from crdnd_tui.core.text import one_line
from engine.spec.events import Warned


class Footnotes:
    """Of one table."""

    def __init__(self) -> None:
        self._sentences: list[str] = []

    def letter(self, sentence: str) -> str:
        """The letter of this sentence; a new one when it was not said before."""
        if sentence not in self._sentences:
            self._sentences.append(sentence)
        return letter(self._sentences.index(sentence))

    def mark(self, warning: Warned) -> str:
        """The letter of what the evaluation suspects of a number."""
        return self.letter(one_line(sentence(warning), 400))

    def lines(self) -> list[tuple[str, str]]:
        """Each letter with its sentence."""
        return [(letter(place), said) for place, said in enumerate(self._sentences)]
