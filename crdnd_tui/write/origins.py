"""Where the numbers come from, as a table that every writer can write."""

import time

from crdnd_tui.write.document import Cell, Column, Document, Origin, Row, Table

WEIGHTS = "weights"  # facts that end so are hashes of what was trained
_SHORT = 12  # characters of a hash that a reader is shown


def table(document: Document) -> Table | None:
    """Runs with state, seed, config hash and the hash of what was trained; None when there are none."""
    if not document.origins:
        return None
    trained = any(map(weights, document.origins))
    return Table(
        key="runs",
        title="Runs",
        head="run",
        columns=(
            Column(key="label", title="label", unit="words"),
            Column(key="state", title="state", unit="words"),
            Column(key="seed", title="seed", unit="words"),
            Column(key="config_hash", title="config hash", unit="words"),
            *([Column(key=WEIGHTS, title=WEIGHTS, unit="words")] if trained else []),
        ),
        rows=tuple(_row(origin, trained=trained) for origin in document.origins),
    )


def weights(origin: Origin) -> str:
    """Beginning of the hash of what was trained, the first where there are several; empty where none is known."""
    found = (value for fact, value in origin.facts if fact.endswith(WEIGHTS))
    return next(found, "").removeprefix("sha256 ")[:_SHORT]


def _row(origin: Origin, *, trained: bool) -> Row:
    seed = "" if origin.seed is None else str(origin.seed)
    words = (origin.label, origin.state, seed, origin.config_hash[:_SHORT], *([weights(origin)] if trained else []))
    return Row(label=origin.run, runs=(origin.run,), cells=tuple(Cell(text=word) for word in words))


def facts(document: Document) -> list[tuple[str, str, tuple[str, ...]]]:
    """(fact, value, runs) in the order in which they are met; no runs where it holds for all of them.

    Without hashes of weights, which every run has of its own: they stand in the table.
    """
    holders: dict[tuple[str, str], list[str]] = {}
    for origin in document.origins:
        for fact in (each for each in origin.facts if not each[0].endswith(WEIGHTS)):
            holders.setdefault(fact, []).append(origin.run)
    everybody = len(document.origins)
    return [(key, value, () if len(runs) == everybody else tuple(runs)) for (key, value), runs in holders.items()]


def hashes(document: Document) -> dict[str, str]:
    """Config hash of each run, whole."""
    return {origin.run: origin.config_hash for origin in document.origins}


def made(document: Document) -> str:
    """By which version, when: `crdnd 0.1.0, 2031-02-03 04:05 UTC`; empty parts are left out."""
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(document.made)) if document.made > 0 else ""
    return ", ".join(part for part in (f"crdnd {document.version}" if document.version else "", when) if part)
