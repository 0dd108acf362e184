"""Every error a user may cause, with what is wrong, where, and what to do about it; amounts in their sentences."""

from collections.abc import Sequence


class CrdndError(Exception):
    """A mistake the user can mend: `what` is wrong, `where`, and what to do (`hint`)."""

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        # a path may hold bytes that are no UTF-8, which no log takes
        what, where, hint = (text.encode(errors="backslashreplace").decode() for text in (what, where, hint))
        super().__init__("\n  ".join(part for part in (where and f"{where}:", what, hint) if part))
        self.what, self.where, self.hint = what, where, hint


class ConfigError(CrdndError):
    """A preset says things that cannot be run; `problems` holds one line for each of them."""

    def __init__(self, problems: Sequence[str], *, where: str = "") -> None:
        super().__init__("\n  ".join(problems), where=where)
        self.problems = tuple(problems)


class RunFolderError(CrdndError):
    """The folder is not a run, is damaged, or is in use by another engine."""


class TeacherError(CrdndError):
    """A teacher is missing, unreadable, or not what the preset says."""


class DataError(CrdndError):
    """A data set is missing, damaged, or not what the preset says."""


class CheckpointError(CrdndError):
    """A checkpoint is damaged, or belongs to another run."""


class DivergedError(CrdndError):
    """A loss stopped being a finite number."""


def brief(error: BaseException, most: int = 200) -> str:
    """Shorten an error's message to one line of at most so many characters."""
    return " ".join(str(error).split())[:most]


def percent(fraction: float) -> str:
    """`47.9 %`, in sentences."""
    return f"{100 * fraction:.1f} %"


def bytes_text(size: int) -> str:
    """`42.63 MiB`, in sentences."""
    power = min((max(size, 1).bit_length() - 1) // 10, 4)
    return f"{size / 1024**power:.{2 if power else 0}f} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"
