"""Arguments and options that several commands take, each worded once; and the machine that its flags describe."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crdnd_tui.core import complete
from engine.spec.files import absolute

if TYPE_CHECKING:
    from engine.spec.machine import Machine

Preset = Annotated[
    str, typer.Argument(help="A preset file, or the name of a shipped one.", autocompletion=complete.preset)
]
Run = Annotated[str, typer.Argument(help="A run's id, its beginning, or its folder.", autocompletion=complete.runs)]
Study = Annotated[
    str,
    typer.Argument(metavar="STUDY", help="A study file, or the name of a shipped one.", autocompletion=complete.study),
]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, as in method.temperature=0.2.")
]
Json = Annotated[bool, typer.Option("--json", help="Data for scripts on stdout.")]


def whole(path: Path | None) -> Path | None:
    """Resolve the path of a folder, if there is one; ConfigError where it leads nowhere."""
    return None if path is None else absolute(path)


Runs = Annotated[Path, typer.Option("--runs", envvar="CRDND_RUNS", help="Folder of the runs.", callback=whole)]
Data = Annotated[
    Path, typer.Option("--data", envvar="CRDND_DATA", help="Folder of data sets and teachers.", callback=whole)
]
Device = Annotated[str, typer.Option(envvar="CRDND_DEVICE", help="auto, cpu, cuda, cuda:1 ...")]
Threads = Annotated[int, typer.Option(help="CPU threads; 0 = by the size of the model.", min=0)]
AnotherData = Annotated[
    Path | None,
    typer.Option("--data", help="Another folder of data sets and teachers.", show_default=False, callback=whole),
]
AnotherDevice = Annotated[
    str | None, typer.Option("--device", help="Another one: auto, cpu, cuda, cuda:1 ...", show_default=False)
]
AnotherThreads = Annotated[
    int | None, typer.Option("--threads", help="Another number of CPU threads.", min=0, show_default=False)
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--machine",
        metavar="KEY=VALUE",
        help="Of the machine, as in table=off: inner_precision, outer_precision, teacher_precision, folded, paired, "
        "table, table_gib, graphs, tf32, layout, checkpoint_seconds.",
    ),
]
Devices = Annotated[
    int | None,
    typer.Option(min=1, max=1024, help="Processes of a run on each node, one device each; 1.", show_default=False),
]
Nodes = Annotated[
    int | None,
    typer.Option(min=1, max=1024, help="Machines that work on the run together; 1.", show_default=False),
]
Rendezvous = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="Where several nodes meet: the first one.", show_default=False)
]
Exact = Annotated[
    bool | None,
    typer.Option("--exact/--fast", help="Float32 and no shortcut, or what is faster here; fast.", show_default=False),
]
Seed = Annotated[int | None, typer.Option(help="Override the seed.", show_default=False)]
Name = Annotated[str, typer.Option(help="What to call the run; changes nothing.")]
Detach = Annotated[bool, typer.Option("--detach", help="Print the run's id and return; the engine goes on.")]
Baseline = Annotated[
    str, typer.Option(help="The run to compare with; the first one otherwise.", autocompletion=complete.runs)
]
Seeds = Annotated[
    bool | None, typer.Option("--seeds/--each", help="One row for all seeds of an experiment, or one for each run.")
]
To = Annotated[
    str,
    typer.Option(
        metavar="FORMAT", help="Write markdown latex csv json html svg png pdf.", autocompletion=complete.documents
    ),
]
Out = Annotated[
    str, typer.Option("-o", "--out", metavar="PATH", help="A file, a folder/, - for stdout, as without it.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]


_FLAGS = {  # what may be said of the machine by flags of their own
    "device": "--device may be auto, cpu, cuda, or cuda:0 and so on",
    "threads": "--threads is a number of CPU threads; 0 = by the size of the model",
    "devices": "--devices is a number of processes on each node, 1 to 1024",
    "nodes": "--nodes is a number of machines, 1 to 1024",
    "rendezvous": "--rendezvous is HOST:PORT",
    "exact": "--exact is true or false",
}


def machine(settings: Sequence[str] | None = (), known: "Machine | None" = None, **flags: Any) -> "Machine":  # noqa: ANN401  values of flags
    """The machine of a run: `known` with these flags, of which None is none, and KEY=VALUE settings.

    ConfigError when it makes no sense; a mistake is told like a mistake in a preset.
    """
    from crdnd_tui.core import launch
    from engine.spec.toml import value_of

    pairs = (text.partition("=") for text in settings or ())
    said = {key.strip(): value_of(value) for key, _, value in pairs}
    said |= {key: str(value) if isinstance(value, Path) else value for key, value in flags.items() if value is not None}
    if known is not None:
        if not said:
            return known
        said = {**known.model_dump(), **({"rendezvous": ""} if said.get("nodes") == 1 else {}), **said}
    return launch.machine(said, _mistake)


def _mistake(key: str, problem: str) -> str:
    from engine.spec.machine import Machine

    if key not in Machine.model_fields:
        free = sorted({*Machine.model_fields} - {*_FLAGS, "data", "runs"})
        return f"--machine {key}: unknown key, known are {', '.join(free)}"
    return _FLAGS.get(key, f"--machine {key}: {problem}")


def named(overrides: Sequence[str] | None, name: str) -> list[str]:
    """Overrides of a preset, with the run's name as one of them."""
    return [*(overrides or ()), *([f"name={json.dumps(name)}"] if name else [])]
