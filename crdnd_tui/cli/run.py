"""crdnd run, resume, join, stop, watch, evaluate: engines are started, followed, joined and asked to stop."""

import contextlib
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crdnd_tui.cli import options as opt
from crdnd_tui.cli import output
from crdnd_tui.cli.output import FAILED, OK
from crdnd_tui.core import advice, complete
from crdnd_tui.core.text import display
from engine.spec import rundir
from engine.spec.errors import ConfigError, RunFolderError
from engine.spec.rundir import RunDir

if TYPE_CHECKING:
    from engine.spec.config import JudgeConfig, RunConfig
    from engine.spec.machine import Machine


def run(  # noqa: PLR0913  options of a command line
    preset: opt.Preset,
    *,
    overrides: opt.Set = None,
    seed: opt.Seed = None,
    name: opt.Name = "",
    detach: opt.Detach = False,
    as_json: opt.Json = False,
    device: opt.Device = "auto",
    threads: opt.Threads = 0,
    devices: opt.Devices = None,
    nodes: opt.Nodes = None,
    rendezvous: opt.Rendezvous = None,
    exact: opt.Exact = None,
    settings: opt.Settings = None,
    data: opt.Data = Path("data"),
    runs: opt.Runs = Path("runs"),
) -> int:
    """Run a preset, watch it, and print its robustness table. Ctrl-C stops and saves; twice kills."""
    from crdnd_tui.cli import follow
    from crdnd_tui.core import presets
    from engine.spec import folders, toml

    here = opt.machine(
        settings, runs=runs, data=data, device=device, threads=threads, devices=devices, nodes=nodes,
        rendezvous=rendezvous, exact=exact,
    )  # fmt: skip
    path = presets.resolve(preset)
    config: RunConfig | JudgeConfig
    if toml.merged(path).table.get("kind") == "evaluation":  # the config of a saved evaluation
        if overrides or seed is not None or name:
            raise ConfigError(["a saved evaluation is repeated as it is: --set, --seed and --name do not apply to it"])
        config = toml.read(path.resolve())
    else:
        config = toml.load(path, opt.named(overrides, name), seed)
    made = folders.create(config, toml.text_of(path), here)
    _invite(made, here)
    return follow.go(made, detach=detach, as_json=as_json)


def resume(  # noqa: PLR0913  options of a command line
    run: opt.Run,
    *,
    detach: opt.Detach = False,
    as_json: opt.Json = False,
    device: opt.AnotherDevice = None,
    threads: opt.AnotherThreads = None,
    devices: opt.Devices = None,
    nodes: opt.Nodes = None,
    rendezvous: opt.Rendezvous = None,
    exact: opt.Exact = None,
    settings: opt.Settings = None,
    data: opt.AnotherData = None,
    runs: opt.Runs = Path("runs"),
) -> int:
    """Go on with a stopped, killed or failed run, from its last checkpoint; what is said of its machine stays so."""
    from crdnd_tui.cli import follow

    found = rundir.find(runs, run)
    if _is_done(found) and not _can_go_on(found):
        output.say(f"{display(found.id)} is done already.")
        if not as_json:
            output.show(follow.results(found))
        return OK
    here = _machine(
        found, settings or (), device=device, threads=threads, devices=devices, nodes=nodes, rendezvous=rendezvous,
        exact=exact, data=data,
    )  # fmt: skip
    _invite(found, here)
    return follow.go(found, detach=detach, as_json=as_json, again=True)


def join(run: opt.Run, runs: opt.Runs = Path("runs")) -> int:
    """Compute a part of a run of several nodes on this one; the run itself is started on the first node."""
    from crdnd_tui.core import engine_process
    from crdnd_tui.core.launch import problems
    from crdnd_tui.core.provenance import machine_of

    found = rundir.find(runs, run)
    here = machine_of(found)
    if here is None:
        raise RunFolderError("its machine.json cannot be read", where=str(found.path))
    if here.nodes == 1:
        spread = advice.command(f"resume {display(found.id)} --nodes N --rendezvous HOST:PORT", found.path.parent)
        why = f"{display(found.id)} is computed on one node: nobody can join it"
        raise RunFolderError(why, hint=f"{spread} spreads it over several.")
    if mistakes := problems(here):
        raise ConfigError(mistakes)
    if _is_done(found):
        output.say(f"{display(found.id)} is done already.")
        return OK
    many = "one process" if here.devices == 1 else f"{here.devices} processes"
    output.say(f"{found.id}: this node joins with {many}, {here.nodes} nodes meet at {display(here.rendezvous)}.")
    output.say(f"{advice.on('watch', found)} shows how it goes. Ctrl-C asks the whole run to stop and save.")
    command, ours = engine_process.engine_command(found), engine_process.environment()
    engine = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=ours)  # Ctrl-C reaches it as it reaches us
    code: int | None = None
    while code is None:
        with contextlib.suppress(KeyboardInterrupt):
            code = engine.wait()
    how = f"ended with exit code {code}; {advice.on('resume', found)} on the first node goes on" if code else "is done"
    output.say(f"{found.id}: this node's part {how}.")
    return code if code >= 0 else 128 - code


def stop(
    run: opt.Run,
    kill: Annotated[bool, typer.Option("--kill", help="Do not wait for the step to end.")] = False,
    runs: opt.Runs = Path("runs"),
) -> int:
    """Ask a run to finish its step, save and leave."""
    from crdnd_tui.core import engine_process, run_actions, run_status

    found = rundir.find(runs, run)
    if not engine_process.alive(found):
        row = run_status.summary(found)
        if row is None or row.state not in run_status.LIVING:
            raise RunFolderError(f"no engine is at work in {display(found.id)}; it is {row.state if row else 'no run'}")
    engine_process.ask_to_stop(found)
    again = advice.on("resume", found)
    if not kill:
        output.say(f"{found.id} stops after this step and saves; {again} goes on.")
        return OK
    try:
        run_actions.kill(found.path)
    except RunFolderError:
        alone = "its engine is not a process of this machine that could be killed"
        output.say(f"{found.id}: {alone}; `stop` was left for it.")
        return FAILED
    output.say(f"{found.id} is killed; {again} goes on from its last checkpoint.")
    return OK


def watch(run: opt.Run, as_json: opt.Json = False, runs: opt.Runs = Path("runs")) -> int:
    """Look at a run while it works. Ctrl-C leaves it alone."""
    from crdnd_tui.cli import follow

    return follow.watch(rundir.find(runs, run), as_json=as_json)


def evaluate(  # noqa: PLR0913  options of a command line
    subject: Annotated[str, typer.Argument(help="A run, or a checkpoint file.", autocompletion=complete.runs)],
    *,
    attack: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:KEY=VALUE,...]",
            help="An attack, as in pgd:steps=100,step_size=1/255; the usual suite when there is none.",
            autocompletion=complete.attacks,
        ),
    ] = None,
    weights: Annotated[str, typer.Option(help="Of a run: best or last.")] = "best",
    model: Annotated[str, typer.Option(metavar="NAME[:KEY=VALUE,...]", help="Of a checkpoint file.")] = "",
    data_set: Annotated[str, typer.Option(metavar="NAME[:KEY=VALUE,...]", help="Of a checkpoint file.")] = "",
    prefix: Annotated[
        str | None,
        typer.Option(help="Of the tensors' names, where several networks in a checkpoint file fit; may be empty."),
    ] = None,
    epsilon: Annotated[str, typer.Option(help="Another radius, as in 8/255.")] = "",
    images: Annotated[
        int | None, typer.Option(min=0, help="A stratified part of the test split; 0 = all.", show_default=False)
    ] = None,
    detach: opt.Detach = False,
    as_json: opt.Json = False,
    device: opt.Device = "auto",
    threads: opt.Threads = 0,
    devices: opt.Devices = None,
    exact: opt.Exact = None,
    settings: opt.Settings = None,
    data: opt.Data = Path("data"),
    runs: opt.Runs = Path("runs"),
) -> int:
    """Judge a saved student, or any checkpoint, again; the judgement is a run of its own."""
    from crdnd_tui.cli import follow
    from crdnd_tui.cli.evaluate import judge_config
    from engine.spec import folders, toml

    here = opt.machine(settings, runs=runs, data=data, device=device, threads=threads, devices=devices, exact=exact)
    flags = {
        "attacks": attack, "weights": weights, "model": model, "data_set": data_set, "epsilon": epsilon,
        "images": images, "prefix": prefix,
    }  # fmt: skip
    config = judge_config(subject, flags, here)
    return follow.go(folders.create(config, toml.dump(config), here), detach=detach, as_json=as_json)


def _is_done(run: RunDir) -> bool:
    from crdnd_tui.core import run_status

    row = run_status.summary(run)
    return row is not None and row.state == "done"


def _can_go_on(run: RunDir) -> bool:
    """Whether an engine would find something to do, and something to go on from."""
    from engine.spec import folders, toml

    return not folders.is_done(run, toml.read(run.config)) and any(run.checkpoints.glob("[0-9]*-*.pt"))


def _invite(run: RunDir, here: "Machine") -> None:
    from crdnd_tui.core.launch import invitation

    if text := invitation(run, here):
        output.say(text)


def _machine(run: RunDir, settings: Sequence[str], **flags: Any) -> "Machine":  # noqa: ANN401  values of flags
    """Its machine for this and later engines, where the run lies now; RunFolderError while one is at work."""
    from crdnd_tui.core import engine_process
    from crdnd_tui.core.provenance import machine_as_written, machine_of
    from engine.spec.files import write_atomically
    from engine.spec.machine import Machine

    written, known = machine_as_written(run), machine_of(run) or Machine(runs=str(run.path.parent))
    here = opt.machine(settings, known, **flags)
    if written is not None and here.data == known.data != written.data:
        output.say(f"its data folder {written.data} is not on this machine: {known.data} is used; --data names another")
    if here != (written or known):
        engine_process.refuse_a_second(run)
        write_atomically(run.machine, (here.model_dump_json(indent=1) + "\n").encode())
    return here
