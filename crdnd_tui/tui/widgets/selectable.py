"""Words on the screen, selected with the mouse and copied as they are read."""

from rich.cells import cell_len
from rich.segment import Segment
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget


class SelectableLines(Widget):
    """A widget whose `line_at` draws each line in sight; a selection counts their characters."""

    def line_at(self, y: int) -> Strip:
        """Line y of those in sight, as wide as the widget."""
        raise NotImplementedError

    def render_line(self, y: int) -> Strip:
        """The line, lit where it is selected, with the places that Textual finds under the mouse."""
        strip, selection = self.line_at(y), self.text_selection
        span = selection.get_span(y) if selection is not None else None
        if span is not None:
            start, end = (cell_len(strip.text[:place]) for place in _within(span, strip.text))
            lit = self.screen.get_component_rich_style("screen--selection")
            before, chosen, after = strip.crop(0, start), strip.crop(start, end), strip.crop(end)
            strip = Strip.join([before, Strip(Segment.apply_style(chosen, post_style=lit)), after])
        return strip.apply_offsets(0, y)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected part of the lines in sight, without the spaces that fill them."""
        texts = {y: self.line_at(y).text for y in range(self.size.height)}
        spans = {y: _within(span, texts[y]) for y in texts if (span := selection.get_span(y)) is not None}
        chosen = "\n".join(texts[y][start:end].rstrip() for y, (start, end) in spans.items())
        return (chosen.rstrip("\n"), "\n") if chosen.strip() else None


class SelectableText(Widget):
    """A widget that renders text which may have fewer lines when it is copied than when it was selected."""

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text; None where its lines are gone."""
        try:
            return super().get_selection(selection)
        except IndexError:
            return None


def _within(span: tuple[int, int], text: str) -> tuple[int, int]:
    """First character and the one behind the last; Textual's -1 is the line's end."""
    start, end = span
    return min(start, len(text)), len(text) if end < 0 else min(end, len(text))
