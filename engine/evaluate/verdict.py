"""What a check says: it holds, it does not hold, or it cannot be said, and why."""

from typing import Literal, NamedTuple

Verdict = Literal["holds", "fails", "unknown"]
HOLDS: Verdict = "holds"
FAILS: Verdict = "fails"
UNKNOWN: Verdict = "unknown"


class Finding(NamedTuple):
    """One check."""

    what: str
    verdict: Verdict
    words: str
