"""The list of studies: rows with a cursor that says where it went."""

from textual.message import Message

from crdnd_tui.tui.widgets.queue_list import QueueList


class StudyList(QueueList):
    """The study under the cursor is the one that is shown."""

    class Moved(Message):
        """The cursor is on this row."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def put(self, key: str) -> None:
        """The cursor on this row, and told."""
        super().put(key)
        if self.cursor == key:
            self.post_message(self.Moved(key))
