"""Progress bars between lines of text, redrawn in place at the foot of a terminal: of a run, and of a study."""

from collections.abc import Iterable, Sequence

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

Bar = tuple[str, float, float, str]  # description, done, total, and what stands behind the bar


class LiveBars(Progress):
    """Leaves nothing behind."""

    def __init__(self, console: Console) -> None:
        cropped = [Column(no_wrap=True, overflow="ellipsis") for _ in range(3)]
        columns = (
            TextColumn("{task.description}", markup=False, table_column=cropped[0]),
            BarColumn(None),
            TextColumn("{task.percentage:>3.0f} %", markup=False, table_column=cropped[1]),
            TextColumn("{task.fields[after]}", markup=False, table_column=cropped[2]),
        )
        self._above: Sequence[Text] = ()
        self._below: Sequence[Text] = ()
        self._bars: list[TaskID] = []
        super().__init__(*columns, console=console, auto_refresh=False, transient=True)
        self.live.vertical_overflow = "crop"

    def draw(self, bars: Sequence[Bar], above: Sequence[Text], below: Sequence[Text]) -> None:
        """These bars, with lines above and below them."""
        self._above, self._below = ([self._fitted(line) for line in part] for part in (above, below))
        while len(self._bars) < len(bars):
            self._bars.append(self.add_task("", after=""))
        for task, (said, done, total, after) in zip(self._bars, bars, strict=False):
            self.update(task, description=said, completed=done, total=total or 1.0, after=after, visible=True)
        for task in self._bars[len(bars) :]:
            self.update(task, visible=False)
        self.refresh()

    def say(self, line: str) -> None:
        """A line that stays, above all that is redrawn."""
        self.console.print(Text(line))

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from self._above
        yield self.make_tasks_table(self.tasks)
        yield from self._below

    def _fitted(self, line: Text) -> Text:
        shown = line.copy()
        shown.truncate(self.console.size.width, overflow="ellipsis")
        return shown
