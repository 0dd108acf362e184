"""What a run's time went into, and which of the engine's shortcuts were on, in words. Pure.

All of it comes from a log that anybody may have written: shares that are more than the whole are left out, a part that
is not known is `other`, and every word is made safe and short.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crdnd_tui.core.format import whole_percent
from crdnd_tui.core.text import display, one_line
from engine.spec.events import StepDone, TrainingStarted

TITLES: Mapping[str, str] = {
    "teacher": "teacher", "inner": "inner maximisation", "outer": "outer step", "data": "data", "other": "other",
}  # fmt: skip
"""Parts of a step in the order in which they are shown; the keys are their short names."""
EXACT = "exact"
NETS = ("teacher", "inner", "outer")  # whose precision is a switch
_FULL = "float32"
_SHORT = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
_RECENT = 20  # reports that the shares are a mean of
_WHOLE = 1.01  # sums of rounded fractions
_WORD = 16  # cells of a value that is not known
_STRANGE = 3  # switches of a newer engine that are shown
_NAMED = 6  # runs, in one sentence
_KNOWN = frozenset({*NETS, "folded", "paired", "table", "graphs", "ranks"})

Engines = Sequence[Mapping[str, str]]
"""Switches of the engines that trained a run, in turn, where they changed."""


@dataclass(frozen=True, kw_only=True)
class TrainingProfile:
    """Of a training: where its time goes now, and what is switched on."""

    shares: Mapping[str, float] = field(default_factory=dict)  # part -> fraction, in the order of TITLES
    words: tuple[str, ...] = ()  # switches, what matters most first
    short: tuple[str, ...] = ()  # the same in fewer letters


def training_profile(training: TrainingStarted | None, steps: Sequence[StepDone]) -> TrainingProfile | None:
    """None where no engine has told of either: its log is older than these events, or no step is done."""
    found = shares(steps)
    switches = training.switches if training is not None else {}
    if not found and not switches:
        return None
    return TrainingProfile(shares=found, words=words(switches), short=words(switches, short=True))


def facts(training: TrainingStarted | None, steps: Sequence[StepDone]) -> list[tuple[str, str]]:
    """The same as label and words, one line each; none where nothing is known."""
    found = training_profile(training, steps)
    if found is None:
        return []
    parts = ", ".join(f"{TITLES[part]} {whole_percent(share)} %" for part, share in found.shares.items())
    return [*([("time", parts)] if parts else []), ("computed", ", ".join(found.words))]


def shares(steps: Sequence[StepDone]) -> dict[str, float]:
    """The mean of the latest reports that can be true: their fractions add up to the whole, or less."""
    reports = [e.shares for e in steps[-_RECENT:] if is_true(e.shares)]
    means = dict.fromkeys(TITLES, 0.0)
    for report in reports:
        for part, share in report.items():
            means[part if part in TITLES else "other"] += share / len(reports)
    whole = max(1.0, sum(means.values()))
    return {part: mean / whole for part, mean in means.items() if mean > 0.0}


def is_true(report: Mapping[str, float]) -> bool:
    """Whether a report's fractions can be parts of one whole; no is also for a report without any."""
    return 0.0 < sum(report.values()) <= _WHOLE


def cells(found: Mapping[str, float], width: int) -> dict[str, int]:
    """Of a bar that is `width` cells long, how many belong to each part: by the largest remainders."""
    exact = {part: share * width for part, share in found.items()}
    given = {part: int(length) for part, length in exact.items()}
    left = min(width, round(sum(exact.values()))) - sum(given.values())
    for part in sorted(exact, key=lambda part: given[part] - exact[part])[: max(0, left)]:
        given[part] += 1
    return given


def words(switches: Mapping[str, str], *, short: bool = False) -> tuple[str, ...]:
    """`inner, outer bfloat16`, `table complete`, `folded` ...; `exact` where nothing is switched on."""
    if is_exact(switches):
        return (EXACT, *_ranks(switches))
    said = [*_precisions(switches, short=short), *_on(switches, "table", "graphs"), *_ranks(switches)]
    said += _on(switches, "folded", "paired")
    strange = [f"{one_line(name, _WORD)} {one_line(value, _WORD)}" for name, value in switches.items()
               if name not in _KNOWN]  # fmt: skip
    more = [f"and {len(strange) - _STRANGE} more"] if len(strange) > _STRANGE else []
    return (*said, *strange[:_STRANGE], *more)


def is_exact(switches: Mapping[str, str]) -> bool:
    """Whether each network is asked as the paper writes it, in float32. Several ranks pair: that is no choice."""
    off = {**dict.fromkeys(NETS, _FULL), "folded": "off", "table": "off", "graphs": "off"}
    paired = switches.get("paired", "off") == "off" or bool(_ranks(switches))
    asked = all(switches.get(name, wanted) == wanted for name, wanted in off.items())
    return paired and switches.keys() <= _KNOWN and asked


def recorded(facts: Mapping[str, Any]) -> dict[str, str] | None:
    """The switches that provenance.json holds; None where no engine has told of them."""
    told = facts.get("switches")
    return {str(name): str(value) for name, value in told.items()} if isinstance(told, dict) else None


def _lower(switches: Mapping[str, str]) -> dict[str, str]:
    """The networks that are not asked in float32, with their precision."""
    return {net: display(switches[net], _WORD) for net in NETS if switches.get(net, _FULL) != _FULL}


def _precisions(switches: Mapping[str, str], *, short: bool = False) -> list[str]:
    nets: dict[str, list[str]] = {}
    for net, kind in (_lower(switches) or dict.fromkeys(NETS if switches.keys() & NETS else (), _FULL)).items():
        nets.setdefault(_SHORT.get(kind, kind) if short else kind, []).append(net)
    return [one_line(kind if of == list(NETS) else f"{', '.join(of)} {kind}", 40) for kind, of in nets.items()]


def _on(switches: Mapping[str, str], *names: str) -> list[str]:
    found = ((name, switches.get(name, "off")) for name in names)
    return [f"{name} {one_line(state, _WORD)}".removesuffix(" on") for name, state in found if state != "off"]


def _ranks(switches: Mapping[str, str]) -> list[str]:
    many = switches.get("ranks", "1")
    if many.isascii() and many.isdecimal() and len(many) <= 6:
        return [f"{int(many)} ranks"] if int(many) > 1 else []
    return [f"ranks {one_line(many, _WORD)}"]


def differently(rows: Sequence[tuple[str, Sequence[tuple[str, Engines]]]]) -> str:
    """`Computed differently: a exact; b inner bfloat16.`; empty where all were computed in the same precision.

    A row comes with its runs, each with the switches of all engines that trained it; a run that no engine has told of
    is passed over. Reorderings of float32 are no difference here.
    """
    found: dict[str, list[str]] = {}
    is_paper = all(is_exact(s) for _, runs in rows for _, engines in runs for s in engines if not _lower(s))
    for label, runs in rows:
        ways = {name: way for name, engines in runs if (way := _turns(engines, EXACT if is_paper else _FULL))}
        alike = len(set(ways.values())) == 1
        for name, way in [(label, next(iter(ways.values())))] if alike else ways.items():
            found.setdefault(way, []).append(one_line(name, 40))
    if len(found) < 2:
        return ""
    told = []
    for way, names in found.items():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        told.append(f"{', '.join(names[:_NAMED])}{more} {way}")
    return f"Computed differently: {'; '.join(told)}."


def _turns(engines: Engines, full: str) -> str:
    """The precision of each engine in turn, as often as it changed; the first and the last of many."""
    said = [" and ".join(_precisions(switches)) if _lower(switches) else full for switches in engines]
    turns = [word for place, word in enumerate(said) if not place or word != said[place - 1]]
    return ", then ".join(turns if len(turns) <= _NAMED else [*turns[: _NAMED - 1], turns[-1]])
