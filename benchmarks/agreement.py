"""Do fast runs agree with exact ones? The same experiments from two folders of runs, paired by method and seed.

    python -m benchmarks.agreement EXACT_RUNS FAST_RUNS

Runs are paired by config hash: what may differ between them is the machine alone. For each method the differences of
its seeds are tested (paired t, exact sign flips) and held against the spread of the exact seeds; then all together.
"""

import argparse
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.interleave import machine_facts, save
from crdnd_tui.compare.stats import holm, paired_t, sign_flip
from engine.spec import toml
from engine.spec.config import RunConfig
from engine.spec.errors import CrdndError
from engine.spec.folders import status_of
from engine.spec.outcomes import decode, unpack
from engine.spec.rundir import RunDir


class Pair(NamedTuple):
    """One experiment, computed twice: accuracies in %, and images that only one of the two runs got right."""

    title: str
    group: str
    seed: int
    exact: float
    fast: float
    only_exact: int
    only_fast: int
    n: int


def main() -> int:
    """Pair, test, write, print. 1 when there is nothing to pair."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exact", type=Path)
    parser.add_argument("fast", type=Path)
    parser.add_argument("--attack", default="autoattack")
    parser.add_argument("--checkpoint", default="best")
    parser.add_argument("--name", default="digits", help="of the result file: agreement_NAME.json")
    wanted = parser.parse_args()
    here = [finished(folder) for folder in (wanted.exact, wanted.fast)]
    pairs = [
        pair(here[0][key], here[1][key], wanted.checkpoint, wanted.attack)
        for key in here[0]
        if key in here[1] and all(has(run[key], wanted.checkpoint, wanted.attack) for run in here)
    ]
    if len({found.seed for found in pairs}) < 2:
        print("no experiment is finished in both folders with two seeds or more")
        return 1
    facts = {"attack": wanted.attack, "checkpoint": wanted.checkpoint, "machine": machine_facts(torch.device("cpu"))}
    facts |= {"methods": by_method(pairs), "all": together(pairs), "pairs": [found._asdict() for found in pairs]}
    path = save(f"agreement_{wanted.name}", facts)
    print("\n".join(table(facts)))
    print(f"written to {path.relative_to(path.parents[2])}")
    return 0


def finished(folder: Path) -> dict[str, RunDir]:
    """Finished training runs of a folder by config hash; of equal ones the first."""
    found: dict[str, RunDir] = {}
    for place in sorted(folder.glob("2*")):
        run, status = RunDir(place), status_of(RunDir(place))
        try:
            if status is not None and status.phase == "done" and isinstance(toml.read(run.config), RunConfig):
                found.setdefault(config(run).config_hash, run)
        except CrdndError as error:
            print(f"left out: {error}", file=sys.stderr)
    return found


def config(run: RunDir) -> RunConfig:
    """Of a training run."""
    known = toml.read(run.config)
    assert isinstance(known, RunConfig)
    return known


def has(run: RunDir, checkpoint: str, attack: str) -> bool:
    """Whether it was judged by this attack; a teacher's own run is judged by fewer."""
    return run.result(checkpoint, attack).is_file()


def pair(exact: RunDir, fast: RunDir, checkpoint: str, attack: str) -> Pair:
    """The two outcomes of one attack, image by image. ValueError when they are not of the same images."""
    one, other = (decode(run.result(checkpoint, attack).read_bytes()) for run in (exact, fast))
    if (one.indices_sha256, one.data_sha256) != (other.indices_sha256, other.data_sha256):
        raise ValueError(f"{exact.id} and {fast.id} were judged on other images")
    known = config(exact)
    bits = list(zip(unpack(one.robust, one.n), unpack(other.robust, other.n), strict=True))
    only = (sum(a and not b for a, b in bits), sum(b and not a for a, b in bits))
    title = known.name.split(",")[0] or known.method.name
    return Pair(title, known.group_hash, known.seed, 100 * one.accuracy, 100 * other.accuracy, *only, one.n)


def by_method(pairs: list[Pair]) -> list[dict[str, Any]]:
    """One row for each method: means, spread of the exact seeds, and the paired tests of its seeds."""
    grouped: dict[str, list[Pair]] = defaultdict(list)
    for found in pairs:
        grouped[found.group].append(found)
    rows = [row(found) for found in grouped.values()]
    tested = [index for index, found in enumerate(rows) if found["paired_t_p"] is not None]
    for index, p in zip(tested, holm([rows[index]["paired_t_p"] for index in tested]), strict=True):
        rows[index]["holm_p"] = p
    return rows


def row(found: list[Pair]) -> dict[str, Any]:
    """Of one method, or of all pairs."""
    differences = [one.fast - one.exact for one in found]
    several = len(found) > 1 and len(set(differences)) > 1
    test = paired_t(differences) if several else None
    return {
        "title": found[0].title,
        "seeds": len(found),
        "exact_mean": statistics.fmean(one.exact for one in found),
        "exact_std": statistics.stdev([one.exact for one in found]) if len(found) > 1 else None,
        "fast_mean": statistics.fmean(one.fast for one in found),
        "fast_std": statistics.stdev([one.fast for one in found]) if len(found) > 1 else None,
        "difference": statistics.fmean(differences),
        "interval": [test.low, test.high] if test else None,
        "paired_t_p": test.t_p if test else None,
        "sign_flip_p": sign_flip(differences).p if several else None,
        "images_only_exact": sum(one.only_exact for one in found),
        "images_only_fast": sum(one.only_fast for one in found),
        "images": sum(one.n for one in found),
    }


def together(pairs: list[Pair]) -> dict[str, Any]:
    """All pairs at once, and how far seeds of one method lie apart in exact runs (pooled standard deviation)."""
    methods = [found for found in by_method(pairs) if found["exact_std"] is not None]
    freedom = sum(found["seeds"] - 1 for found in methods)
    pooled = (sum(found["exact_std"] ** 2 * (found["seeds"] - 1) for found in methods) / freedom) ** 0.5
    differences = [one.fast - one.exact for one in pairs]
    return row(pairs) | {"title": "all", "seed_std": pooled, "difference_std": statistics.stdev(differences)}


def table(facts: dict[str, Any]) -> list[str]:
    """For people, as Markdown."""
    judged = f"{facts['attack']}, {facts['checkpoint']}"
    lines = [
        f"| {judged} | exact, % | fast, % | fast - exact | 95 % interval | t, p (Holm) |",
        "|---|---|---|---|---|---|",
    ]
    for found in [*facts["methods"], facts["all"]]:
        interval = "-" if found["interval"] is None else "[{:+.1f}, {:+.1f}]".format(*found["interval"])
        p = "-" if found["paired_t_p"] is None else f"{found['paired_t_p']:.2f}"
        p += f" ({found['holm_p']:.2f})" if "holm_p" in found else ""
        spread = [f" ± {found[key]:.1f}" if found[key] is not None else "" for key in ("exact_std", "fast_std")]
        means = f"{found['exact_mean']:.1f}{spread[0]} | {found['fast_mean']:.1f}{spread[1]}"
        lines.append(
            f"| {found['title']} ({found['seeds']}) | {means} | {found['difference']:+.2f} | {interval} | {p} |"
        )
    whole = facts["all"]
    lines += [
        "",
        f"Spread between seeds of one method, exact: {whole['seed_std']:.2f} points; "
        f"of fast - exact: {whole['difference_std']:.2f} points, {whole['seeds']} pairs.",
    ]
    return lines


if __name__ == "__main__":
    sys.exit(main())
