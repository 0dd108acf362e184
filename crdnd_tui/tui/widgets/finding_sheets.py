"""Pages of tables that the tests fill: all differences, gaps between attacks, best against last. Lines for any width.
from crdnd_tui.core.text import wrapped

They are the tables of `crdnd compare`; rows keep the colours of their runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rich.text import Text

from crdnd_tui.core.palette import Palette
from crdnd_tui.core.text import wrapped
from crdnd_tui.write import tables
from crdnd_tui.write.comparison_summary import ComparisonSummary
from crdnd_tui.write.comparison_tables import compact_differences, differences_table
from crdnd_tui.write.document import Table
from crdnd_tui.write.tables import INDENT

_WHOLE = 112  # cells from which all columns of the tests stand beside each other
_NO_GAP = (
    "No run has been through PGD-SAT and an attack that does not see the scale of the logits, CW-inf, rescaled PGD or "
    "AutoAttack: `crdnd evaluate` judges them, and so does the evaluation of a preset."
)
_NO_ENDS = (
    "No run has been judged at its best and at its last checkpoint, and none has come to the end of a training that "
    'was validated. `checkpoints = ["best", "last"]` under [evaluation] asks for both.'
)


def tests(
    found: ComparisonSummary, attack: str, colours: Mapping[str, str], palette: Palette, width: int
) -> list[Text]:
    """What the tests say in words, then every row under every attack, that in view first."""
    comparison = found.comparison
    made = [line for words in found.sentences for line in wrapped(words, width, palette.text, indent="  ", hang="  ")]
    if not comparison.attacks or not comparison.others:
        return [*made, *_wait("Nothing has been judged yet that could be compared.", palette, width)]
    order = [attack, *(other for other in comparison.attacks if other != attack)]
    order = [one for one in order if one in comparison.attacks]
    table = (differences_table if width >= _WHOLE else compact_differences)(comparison, order)
    if not table.rows:
        why = [f"{row.label}: {comparison.whole_refusal(row)}." for row in comparison.others]
        return [*made, *(line for words in why for line in _wait(words, palette, width))]
    return [*made, *([Text()] if made else []), *_table(found, table, colours, palette, width)]


def gap(found: ComparisonSummary, colours: Mapping[str, str], palette: Palette, width: int) -> list[Text]:
    """Cross-entropy PGD minus attacks that are blind to the logits' scale."""
    if found.masking is None or not found.masking.rows:
        return _wait(_NO_GAP, palette, width)
    return _table(found, found.masking, colours, palette, width)


def ends(found: ComparisonSummary, colours: Mapping[str, str], palette: Palette, width: int) -> list[Text]:
    """Best minus last checkpoint."""
    if found.overfitting is None or not found.overfitting.rows:
        return _wait(_NO_ENDS, palette, width)
    return _table(found, found.overfitting, colours, palette, width)


def _wait(words: str, palette: Palette, width: int) -> list[Text]:
    return wrapped(words, max(8, width), palette.muted, indent="  ", hang="  ")


def _table(
    found: ComparisonSummary, table: Table, colours: Mapping[str, str], palette: Palette, width: int
) -> list[Text]:
    """Without its title, which stands on the border, and without conditions, which do so, too."""
    comparison = found.comparison
    bare = replace(table, title="", caption=comparison.bare(table.caption))
    style = tables.TableStyle(text=palette.text, strong="bold", muted=palette.muted, mark=palette.warn, bad=palette.bad)
    made = tables.table_lines(bare, width, style=style)
    labels = sorted(((row.label, colours.get(row.id, "")) for row in comparison.rows), key=lambda one: -len(one[0]))
    return [_coloured(line, labels, palette) for line in made]


def _coloured(line: Text, labels: Sequence[tuple[str, str]], palette: Palette) -> Text:
    """A label at the beginning of a line, in the colour of its row."""
    words = line.plain[INDENT:]
    colour = next((colour for label, colour in labels if words.startswith(f"{label} ")), "")
    if colour and words[:1].strip():
        label = next(label for label, _ in labels if words.startswith(f"{label} "))
        line.stylize(colour or palette.text, INDENT, INDENT + len(label))
    return line
