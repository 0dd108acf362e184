"""Words that nobody can vouch for, made harmless for each format. All of them pass `clean` first."""

import re
import unicodedata
from collections.abc import Mapping

from crdnd_tui.core.text import display

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~&$])")
_MARKDOWN_LINK = re.compile(r"(?i)(?:(?<=http)|(?<=https)|(?<=ftp)):(?=//)|(?<=www)\.")
_MARKDOWN_START = re.compile(r"^(?:[#+-]|(\d+)(?=[.)]))")
_BREAKS = re.compile(r"(?<=[-/_.:,=])(?=\w)|(?<=[a-z])(?=[A-Z])")  # where a long word is best broken
_LONGEST = 12  # letters of a word that stays whole
_LATEX_PAIR = re.compile(r"([-',])(?=\1)")
_FORMULA = "=+-@|%\uff1d\uff0b\uff0d\uff20\u2212\ufe62\ufe63\ufe66\ufe6b"
_PASSED_OVER = ("Zs", "Zl", "Zp", "Cc", "Cf", "Mn", "Me")  # blanks and what cannot be seen
_LATEX: Mapping[str, str] = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedblright{}", "`": r"\textasciigrave{}", "[": "{[}", "]": "{]}", "*": "{*}",
    "\u00a0": "~", "\u2009": r"\,", "\u202f": r"\,", "\u2010": "-", "\u2011": "-",
    "\u2013": r"\textendash{}", "\u2014": r"\textemdash{}", "\u2018": r"\textquoteleft{}",
    "\u2019": r"\textquoteright{}",
    "\u201c": r"\textquotedblleft{}", "\u201d": r"\textquotedblright{}", "\u2026": r"\textellipsis{}",
    "\u2020": r"\textdagger{}", "\u2021": r"\textdaggerdbl{}", "\u2022": r"\textbullet{}",
    "\u2122": r"\texttrademark{}", "\u20ac": r"\texteuro{}",
}  # fmt: skip
_LIKE_LATIN = "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7"
_MATHS: Mapping[str, str] = {
    "\u00b1": r"\pm", "\u00d7": r"\times", "\u00f7": r"\div", "\u00b7": r"\cdot", "\u00b5": r"\mu", "\u00ac": r"\neg",
    "\u00b2": "^2", "\u00b3": "^3", "\u00b9": "^1", "\u00b0": r"^\circ", "\u2212": "-", "\u221e": r"\infty",
    "\u2190": r"\leftarrow", "\u2192": r"\rightarrow", "\u2191": r"\uparrow", "\u2193": r"\downarrow",
    "\u2194": r"\leftrightarrow", "\u21d2": r"\Rightarrow", "\u2260": r"\neq", "\u2264": r"\leq", "\u2265": r"\geq",
    "\u2248": r"\approx", "\u2261": r"\equiv", "\u221d": r"\propto", "\u2208": r"\in", "\u2211": r"\sum",
    "\u220f": r"\prod", "\u221a": r"\surd", "\u2202": r"\partial", "\u2207": r"\nabla", "\u2113": r"\ell",
    "\u2032": "'", "\u226a": r"\ll", "\u226b": r"\gg", "\u2229": r"\cap", "\u222a": r"\cup", "\u2216": r"\setminus",
    "\u03b1": r"\alpha", "\u03b2": r"\beta", "\u03b3": r"\gamma", "\u03b4": r"\delta", "\u03b5": r"\varepsilon",
    "\u03f5": r"\epsilon", "\u03b6": r"\zeta", "\u03b7": r"\eta", "\u03b8": r"\theta", "\u03b9": r"\iota",
    "\u03ba": r"\kappa", "\u03bb": r"\lambda", "\u03bc": r"\mu", "\u03bd": r"\nu", "\u03be": r"\xi", "\u03bf": "o",
    "\u03c0": r"\pi", "\u03c1": r"\rho", "\u03c2": r"\varsigma", "\u03c3": r"\sigma", "\u03c4": r"\tau",
    "\u03c5": r"\upsilon", "\u03c6": r"\varphi", "\u03d5": r"\phi", "\u03c7": r"\chi", "\u03c8": r"\psi",
    "\u03c9": r"\omega", "\u0393": r"\Gamma", "\u0394": r"\Delta", "\u0398": r"\Theta", "\u039b": r"\Lambda",
    "\u039e": r"\Xi", "\u03a0": r"\Pi", "\u03a3": r"\Sigma", "\u03a6": r"\Phi", "\u03a8": r"\Psi", "\u03a9": r"\Omega",
    **{greek: rf"\mathrm{{{latin}}}" for greek, latin in zip(_LIKE_LATIN, "ABEZHIKMNOPTYX", strict=True)},
}  # fmt: skip


def clean(text: str) -> str:
    """On one line, composed, what could steer a terminal replaced by a mark; a space that glues words stays."""
    flat = re.sub(r"[^\S\u00a0\u2009\u202f]+", " ", display(text))
    return unicodedata.normalize("NFC", flat).strip()


def markdown(text: str) -> str:
    """As GitHub renders it: the same words and nothing else; fit for a cell of a table."""
    return _MARKDOWN_LINK.sub(lambda found: "\\" + found[0], _MARKDOWN.sub(r"\\\1", clean(text)))


def markdown_line(text: str) -> str:
    """The same where a line begins, which no heading, list or rule may come of."""
    return _MARKDOWN_START.sub(lambda found: f"{found[1]}\\" if found[1] else f"\\{found[0]}", markdown(text))


def markdown_heading(text: str) -> str:
    """The same in a heading, whose last hashes would be taken off."""
    return re.sub(r"(?<!\\)#", r"\\#", markdown_line(text))


def latex(text: str) -> str:
    """As LaTeX sets it, in text mode, with UTF-8 input; letters of any script stay, other unknown signs do not."""
    return "".join(map(_latex_character, _LATEX_PAIR.sub("\\1\x00", clean(text))))


def latex_prose(text: str) -> str:
    """The same where its longest words may be broken at the end of a line."""
    return " ".join(r"\allowbreak{}".join(map(latex, _parts(word))) for word in clean(text).split(" "))


def _parts(word: str) -> list[str]:
    if len(word) <= _LONGEST:
        return [word]
    return [part[at : at + _LONGEST] for part in _BREAKS.split(word) for at in range(0, len(part), _LONGEST)]


def _latex_character(character: str) -> str:
    if character == "\x00":  # between two hyphens that must not become a dash
        return "{}"
    if character in _MATHS:
        return f"${_MATHS[character]}$"
    if character in _LATEX:
        return _LATEX[character]
    if character <= "\u00ff" or unicodedata.category(character)[0] in "LMN":
        return character
    return "?"


def spreadsheet(text: str) -> str:
    """With an apostrophe before what a spreadsheet would take for a formula."""
    said = clean(text)
    begins = next((c for c in said if unicodedata.category(c) not in _PASSED_OVER and c not in "\"'"), "")
    return f"'{said}" if begins and begins in _FORMULA else said


def slug(text: str) -> str:
    """Lower-case letters, digits and hyphens: part of a label or of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", clean(text).lower()).strip("-") or "table"
