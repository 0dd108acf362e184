"""A run folder -> what is replayed of it elsewhere. Reads, without trust."""

from crdnd_tui.core import library, run_reader
from crdnd_tui.core.text import display
from crdnd_tui.write.measured import Subject
from engine.spec import files, toml
from engine.spec.errors import RunFolderError
from engine.spec.rundir import RunDir


def subject(run: RunDir) -> Subject:
    """The run, whole or not; ConfigError or RunFolderError when its config cannot be read."""
    summary = library.summary(run)
    if summary is None:
        raise RunFolderError(f"{run.path} holds no run", hint="`crdnd runs` lists them.")
    return Subject(
        id=run.id,
        state=summary.state,
        config=toml.read(run.config),
        log=run_reader.load(run),
        status=summary.status,
        preset=display((files.read(run.preset) or b"").decode("utf-8", "replace"), files.CONFIG_CAP),
        provenance=files.decoded(run.provenance, files.json_table),
    )
