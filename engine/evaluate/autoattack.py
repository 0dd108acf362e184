"""AutoAttack, standard version: pyautoattack's four attacks, its results bit for bit, in a loop that can be resumed.

Croce and Hein, ICML 2020, arXiv:2003.01690. Every batch starts from the same seed, as in the original, so the batch
size belongs to the result. pyautoattack's own resume never works, and its flags only reach a log: both are done here.
Its attacks climb on the bench's folded copy where there is one; who was fooled is the network's own answer.
"""

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch
from pyautoattack import AutoAttack, checks
from torch import Tensor

from engine.ascent import assert_inside
from engine.evaluate.bench import Assault, Bench, Keeping, Kept, Progress, Struck, predict

DLR_CLASSES = 4  # the targeted loss looks at the fourth largest logit
TARGETS = 9
# Images, and share of them, that FAB leaves so near to the boundary that sums in another batch turn them.
AT_THE_BOUNDARY, AT_THE_BOUNDARY_SHARE = 2, 0.005


class Ear:
    """Stands in for pyautoattack's logger: a warning becomes a code."""

    def __init__(self, listening_for: str = "") -> None:
        self.codes: set[str] = set()
        self.listening_for = listening_for

    def warning(self, _message: str) -> None:
        """Heard."""
        self.codes.add(self.listening_for)


def run(bench: Bench, clean: Tensor, keeping: Keeping, progress: Progress) -> Assault:
    """All images through APGD-CE, APGD-T, FAB-T and Square; each attack meets the survivors of those before it.

    clean: N predictions before the attack. Below four classes APGD-T is left out, and a mark says so.
    """
    ear = Ear()
    y = bench.labels.cpu()
    outputs, heard = bench.ranks.on_leader(lambda: _check(bench, keeping))
    ear.codes |= heard
    parts = assemble(bench, outputs, ear)
    robust, predicted = clean == y, clean.clone()  # N, N
    distance, reach = torch.full((bench.n,), torch.inf), torch.zeros(bench.n)
    distance[~robust] = 0.0
    kept = bench.batch(keeping.gallery)[0].cpu()
    accuracy = {"clean": _share(robust)}
    seconds, differently = 0.0, 0
    for name, part in parts.items():
        survivors = robust.nonzero().squeeze(1)  # frozen: a resumed part must form the same batches
        if len(survivors) == 0:
            break
        done = 0
        progress(name, 0, len(survivors), _share(robust))
        for positions, batch in _strike_all(bench, name, part, survivors, keeping):
            ear.codes.update(_read(batch["codes"]))
            fallen = positions[batch["fooled"]]
            robust[fallen], predicted[fallen] = False, batch["predicted"]
            distance[fallen], reach[fallen] = batch["distance"], batch["reach"]
            for place, adversarial in zip(fallen.tolist(), batch["x_adv"], strict=True):
                kept[keeping.gallery == place] = adversarial
            seconds += float(batch["seconds"])
            differently += int(batch["differently"])
            done += len(positions)
            progress(name, done, len(survivors), _share(robust))
        accuracy[name] = _share(robust)
    ear.listening_for = "autoattack_square"
    checks.check_square_sr(accuracy, logger=ear)
    finite = predicted >= 0
    marks = ear.codes | (set() if finite.all() else {"non_finite"})
    details = {f"after_{name}": share for name, share in accuracy.items() if name != "clean"}
    if differently:
        details["rescored_differently"] = float(differently)
    if differently > max(AT_THE_BOUNDARY, AT_THE_BOUNDARY_SHARE * bench.n):
        marks.add("rescored_differently")
    struck = Struck(robust, predicted, finite, distance, reach, seconds, details, tuple(sorted(marks)))
    return Assault(struck, kept)


def assemble(bench: Bench, outputs: int, ear: Ear) -> dict[str, Any]:
    """pyautoattack's attack objects as its standard version sets them up, by name, in order."""
    suite = AutoAttack(
        bench.attacked,
        norm="Linf",
        eps=float(bench.threat_model.epsilon),
        seed=bench.seed,
        version="standard",
        device=bench.device,
    )
    targets = min(TARGETS, outputs - 1)
    suite.apgd.loss = "ce"
    suite.apgd_targeted.n_target_classes = targets
    suite.fab.targeted, suite.fab.n_restarts, suite.fab.n_target_classes = True, 1, targets
    parts = {"apgd-ce": suite.apgd, "apgd-t": suite.apgd_targeted, "fab-t": suite.fab, "square": suite.square}
    if outputs < DLR_CLASSES:
        del parts["apgd-t"]
        ear.codes.add("autoattack_few_classes")
    return parts


def _strike_all(
    bench: Bench,
    name: str,
    part: Any,  # noqa: ANN401  one of pyautoattack's attacks
    survivors: Tensor,
    keeping: Keeping,
) -> Iterator[tuple[Tensor, Kept]]:
    """Batch by batch, on every rank: the places of the images, and what became of them."""
    batches = survivors.split(bench.batch_size)
    struck = keeping.each(
        bench.ranks,
        name,
        len(batches),
        lambda k: _strike(bench, part, batches[k]),
        lambda k, saved: torch.equal(saved["positions"], batches[k]),
    )
    return ((batches[k], batch) for k, batch in struck)


def _strike(bench: Bench, part: Any, positions: Tensor) -> Kept:  # noqa: ANN401
    """One batch of survivors: who was fooled, and of those the prediction, the image and its distance."""
    began = time.perf_counter()
    x, y = bench.batch(positions)
    part.logger = ear = Ear("autoattack_zero_gradient")
    with torch.no_grad():
        part.seed = bench.seed
        x_adv = part.perturb(x.clone(), y.clone())
        assert_inside(x_adv, x, bench.threat_model)
        answer = predict(bench.net, x_adv)
        fooled = answer != y
        again = predict(bench.net, x_adv[fooled]) if bool(fooled.any()) else answer[fooled]
    delta = (x_adv - x)[fooled].flatten(1)
    return {
        "positions": positions,
        "fooled": fooled.cpu(),
        "predicted": answer[fooled].cpu(),
        "x_adv": x_adv[fooled].cpu(),
        "distance": delta.norm(dim=1).cpu(),
        "reach": delta.abs().amax(dim=1).cpu(),
        "differently": (again == y[fooled]).sum().cpu(),
        "codes": _written(ear.codes),
        "seconds": torch.tensor(time.perf_counter() - began, dtype=torch.float64),
    }


def _written(codes: set[str]) -> Tensor:
    return torch.tensor(list(json.dumps(sorted(codes)).encode()), dtype=torch.uint8)


def _read(codes: Tensor) -> set[str]:
    return set(json.loads(bytes(codes.tolist())))


def _check(bench: Bench, keeping: Keeping) -> tuple[int, set[str]]:
    """pyautoattack's checks of the model on the first batch: the number of outputs, and what was noticed."""
    saved = keeping.partial.load("checks") if keeping.partial else None
    if saved is not None:
        return int(saved["outputs"]), _read(saved["codes"])
    ear = Ear()
    x, y = bench.batch(torch.arange(bench.n)[: bench.batch_size])
    ear.listening_for = "autoattack_randomised"
    checks.check_randomized(bench.net, x, y, bs=bench.batch_size, logger=ear)
    ear.listening_for = "autoattack_probabilities"
    outputs = int(checks.check_range_output(bench.net, x, logger=ear))
    ear.listening_for = "autoattack_dynamic"
    _check_dynamic(bench, x, ear)
    if keeping.partial:
        keeping.partial.save("checks", {"codes": _written(ear.codes), "outputs": torch.tensor(outputs)})
    return outputs, ear.codes


def _check_dynamic(bench: Bench, x: Tensor, ear: Ear) -> None:
    """The check counts in a global that it never clears, and switches tracers off: both are put right here."""
    tracer = sys.gettrace()
    checks.funcs.update(dict.fromkeys(checks.funcs, 0))
    try:
        checks.check_dynamic(bench.net, x, False, logger=ear)
    finally:
        sys.settrace(tracer)
        checks.funcs.update(dict.fromkeys(checks.funcs, 0))


def _share(robust: Tensor) -> float:
    return int(robust.sum()) / len(robust)
