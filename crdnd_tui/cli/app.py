"""crdnd: the command line. A command imports what it needs when it is called.

Exit codes: 0 ok, 1 the run failed, 2 usage or config, 3 stopped, 4 nothing can be compared, 130 interrupted.
"""

import os
import re
import signal
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from crdnd_tui.cli import doctor, output, queue, results, run, show
from crdnd_tui.cli.options import Json, Preset, Seed, Set
from crdnd_tui.cli.output import FAILED, INTERRUPTED, OK, USAGE
from crdnd_tui.core.text import display, open_streams
from engine.spec.errors import ConfigError, CrdndError
from engine.spec.process import replace_closed_streams

app = typer.Typer(
    name="crdnd",
    help="The lab for adversarial robustness distillation: a preset becomes a robustness table.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(queue.app, name="queue")
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]  # Typer carries its own click, or uses the installed one
_PLACED = re.compile(r"\S+: ")  # file:line: or --set:


def _version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        typer.echo(f"crdnd {metadata.version('crdnd-tui')}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it and leave.")] = False,
) -> None:
    pass


def check(preset: Preset, overrides: Set = None, seed: Seed = None, as_json: Json = False) -> int:
    """Validate a preset; print it with every default written out, and what it will cost."""
    from dataclasses import asdict

    from crdnd_tui.core import cost_summary, presets
    from engine.spec import estimate, toml

    path = presets.resolve(preset)
    config = toml.load(path, overrides or [], seed)
    cost = estimate.estimate(config)
    if as_json:
        hashes = {"config_hash": config.config_hash, "group_hash": config.group_hash}
        table = {"preset": str(path), "config": config.to_table(), **hashes, "estimate": asdict(cost)}
        output.show_json(table)
        return OK
    output.show_text(toml.dump(config).rstrip() + "\n")
    output.say("")
    for line in cost_summary.lines(cost):
        output.say(line)
    return OK


def schema() -> int:
    """Print the JSON Schema of presets."""
    from engine.spec import toml

    output.show_json(toml.schema())
    return OK


_COMMANDS: dict[str, Callable[..., int]] = {
    "run": run.run, "resume": run.resume, "join": run.join, "stop": run.stop, "watch": run.watch,
    "runs": show.list_runs, "show": show.show, "check": check, "schema": schema, "evaluate": run.evaluate,
    "doctor": doctor.doctor, "tables": show.list_tables, "compare": results.compare, "study": results.study,
    "verify": results.verify, "export": results.export, "report": results.report,
}  # fmt: skip
for _name, _command in _COMMANDS.items():
    app.command(name=_name)(_command)


def main() -> None:
    """The entry point. A user's mistake is a message on stderr, never a traceback."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends us quietly; an engine has a session of its own
    replace_closed_streams()
    open_streams(sys.stdout, sys.stderr)
    sys.exit(_called())


def _called() -> int:
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except ConfigError as error:
        return _complain(_mistakes(error), USAGE)
    except CrdndError as error:
        return _complain(str(error), USAGE)
    except _UsageError as error:
        return _complain(f"{error}\nTry `crdnd --help`.", USAGE)
    except typer.Abort:
        return INTERRUPTED
    except OSError as error:
        named = f": {error.filename}" if error.filename else ""
        return _complain(f"{error.strerror or error}{named}", FAILED)
    return code if isinstance(code, int) else OK


def _mistakes(error: ConfigError) -> str:
    """Several mistakes that each say where they are get a head line; a mistake and its hint do not."""
    if len(error.problems) < 2 or not all(_PLACED.match(problem) for problem in error.problems):
        return str(error)
    return "\n  ".join([f"{len(error.problems)} mistakes:", *error.problems])


def _complain(words: str, code: int) -> int:
    try:
        os.write(2, (display(words) + "\n").encode(sys.stderr.encoding or "utf-8", "replace"))
    except OSError:
        return code  # nobody listens any more
    return code
