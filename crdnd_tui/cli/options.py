"""Arguments and options that several commands take, each worded once."""

from pathlib import Path
from typing import Annotated

import typer

from crdnd_tui.core import complete
from engine.spec.files import absolute

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
Runs = Annotated[Path, typer.Option("--runs", envvar="CRDND_RUNS", help="Folder of the runs.")]
Data = Annotated[Path, typer.Option("--data", envvar="CRDND_DATA", help="Folder of data sets and teachers.")]
Device = Annotated[str, typer.Option(envvar="CRDND_DEVICE", help="auto, cpu, cuda, cuda:1 ...")]
Threads = Annotated[int, typer.Option(help="CPU threads; 0 = by the size of the model.", min=0)]
AnotherData = Annotated[
    Path | None, typer.Option("--data", help="Another folder of data sets and teachers.", show_default=False)
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


def folder(path: Path) -> Path:
    """The whole path; ConfigError where that leads nowhere."""
    return absolute(path)
