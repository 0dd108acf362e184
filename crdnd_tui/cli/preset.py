"""crdnd check, schema: what a preset means, and what it may say."""

from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from crdnd_tui.cli import output
from crdnd_tui.core import cost_summary, presets
from engine.spec import estimate, toml


def check(preset: str, overrides: Sequence[str], seed: int | None, *, as_json: bool) -> int:
    """Every mistake at once (exit code 2), or the resolved config and what the run will cost."""
    path = presets.resolve(preset)
    config = toml.load(path, overrides, seed)
    cost = estimate.estimate(config)
    if as_json:
        output.show_json(
            {
                "preset": str(path),
                "config": config.to_table(),
                "config_hash": config.config_hash,
                "group_hash": config.group_hash,
                "estimate": _plain(cost),
            }
        )
        return 0
    output.show_text(toml.dump(config).rstrip() + "\n")
    output.say("")
    for line in cost_summary.lines(cost):
        output.say(line)
    return 0


def _plain(cost: object) -> Any:  # noqa: ANN401  any JSON
    return asdict(cost) if is_dataclass(cost) and not isinstance(cost, type) else str(cost)


def schema() -> int:
    """JSON Schema of presets, for editors."""
    output.show_json(toml.schema())
    return 0
