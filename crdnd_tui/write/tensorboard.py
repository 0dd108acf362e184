"""A run -> TensorBoard's event files: scalars at their steps and times, hyperparameters, config and provenance as text.

Written with TensorBoard's own protocol buffers and record writer; TensorFlow and torch are not needed. Values are
32-bit there. One file with a fixed name for a run, so that a second replay of the same log is the same file.
"""

import io
import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from crdnd_tui.core.run_status import LIVING
from crdnd_tui.write.escape import markdown
from crdnd_tui.write.trackers import TrackedRun, flattened, load, results, scalars
from engine.spec import toml
from engine.spec.errors import CrdndError
from engine.spec.files import write_atomically

FILE = "events.out.tfevents.crdnd"
_PROTO = "tensorboard.compat.proto"


def replay(run: TrackedRun, folder: Path, *, force: bool = False) -> tuple[Path, bool]:
    """Write FOLDER/<run id>/events...; the file, and whether it is new or changed.

    CrdndError when another replay lies there and `force` is not given, or TensorBoard is not installed.
    """
    content = encoded(run)
    path = folder / run.id / FILE
    if path.exists():
        if path.read_bytes() == content:
            return path, False
        if not force:
            raise CrdndError(f"{path} holds an earlier replay of this run", hint="--force replaces it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)
    return path, True


def encoded(run: TrackedRun) -> bytes:
    """The whole event file: numbers of one step and moment together, in the order of steps."""
    events = load(f"{_PROTO}.event_pb2", "tensorboard")
    summary = load(f"{_PROTO}.summary_pb2", "tensorboard").Summary
    buffer = io.BytesIO()
    records = load("tensorboard.summary.writer.record_writer", "tensorboard").RecordWriter(buffer)

    def write(time: float, **content: Any) -> None:  # noqa: ANN401  fields of a message
        records.write(events.Event(wall_time=time, **content).SerializeToString())

    write(run.log.started, file_version="brain.Event:2")
    for told in (_hyperparameters(run), *_texts(run)):
        write(run.log.started, step=0, summary=told)
    ordered = sorted(scalars(run.log), key=lambda one: (one.step, one.time))
    for (step, time), same in groupby(ordered, key=lambda one: (one.step, one.time)):
        made = summary()
        for one in same:
            value = made.value.add(tag=one.name, simple_value=one.value)
            value.metadata.summary_description = one.marks
        write(time, step=step, summary=made)
    write(run.log.last, summary=_end(run))
    return buffer.getvalue()


def _hyperparameters(run: TrackedRun) -> Any:  # noqa: ANN401  a message of TensorBoard
    """With its map in a fixed order, so that equal runs are equal bytes."""
    hparams = load("tensorboard.plugins.hparams.summary_v2", "tensorboard")
    data = load("tensorboard.plugins.hparams.plugin_data_pb2", "tensorboard")
    made = hparams.hparams_pb(flattened(run.config.to_table()), run.id, run.log.started)
    plugin = made.value[0].metadata.plugin_data
    plugin.content = data.HParamsPluginData.FromString(plugin.content).SerializeToString(deterministic=True)
    return made


def _end(run: TrackedRun) -> Any:  # noqa: ANN401  a message of TensorBoard
    """How the run ended, for the plugin of hyperparameters."""
    summary = load(f"{_PROTO}.summary_pb2", "tensorboard").Summary
    metadata = load("tensorboard.plugins.hparams.metadata", "tensorboard")
    data = load("tensorboard.plugins.hparams.plugin_data_pb2", "tensorboard")
    api = load("tensorboard.plugins.hparams.api_pb2", "tensorboard")
    statuses = {"done": api.STATUS_SUCCESS, "failed": api.STATUS_FAILURE} | dict.fromkeys(LIVING, api.STATUS_RUNNING)
    info = data.SessionEndInfo(status=statuses.get(run.state, api.STATUS_UNKNOWN), end_time_secs=run.log.last)
    value = summary.Value(
        tag=metadata.SESSION_END_INFO_TAG,
        metadata=metadata.create_summary_metadata(data.HParamsPluginData(session_end_info=info)),
        tensor=metadata.NULL_TENSOR,
    )
    return summary(value=[value])


def _texts(run: TrackedRun) -> list[Any]:
    """Markdown, as TensorBoard's text plugin shows it."""
    log, text = run.log, load("tensorboard.plugins.text.summary_v2", "tensorboard").text_pb
    facts = [
        ("run", run.id), ("name", log.name), ("state", f"{run.state}: {log.reason}" if log.reason else run.state),
        ("config hash", run.config.config_hash), *(("warning", one.message) for one in log.warnings),
    ]  # fmt: skip
    told = {"run": _table(("", ""), facts), "config": _fenced(toml.dump(run.config), "toml")}
    if run.provenance is not None:
        kept = {key: value for key, value in run.provenance.items() if key != "command"}  # names a home folder
        told["provenance"] = _fenced(json.dumps(kept, indent=2, sort_keys=True), "json")
    if log.table:
        told["results"] = _results(run)
    return [text(tag, [words.encode()]) for tag, words in told.items()]


def _results(run: TrackedRun) -> str:
    head = ("checkpoint", "attack", "accuracy %", "95 % interval", "images", "specification", "marks", "checks")
    return _table(head, [
        (
            cell.checkpoint, cell.attack, f"{100 * cell.accuracy:.2f}{one.sign}",
            f"{100 * cell.low:.2f} to {100 * cell.high:.2f}", f"{cell.n} of {cell.of}",
            json.dumps(cell.spec, sort_keys=True), one.marks, run.log.checks(cell.checkpoint),
        )
        for one in results(run.log)
        for cell in [one.cell]
    ])  # fmt: skip


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(markdown, line)) + " |" for line in lines)


def _fenced(words: str, language: str) -> str:
    """A block of code, whose fence no line of it can close."""
    fence = "```"
    while fence in words:
        fence += "`"
    return f"{fence}{language}\n{words}\n{fence}"
