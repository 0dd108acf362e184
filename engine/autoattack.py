"""AutoAttack, standard version: pyautoattack's four attacks, its results bit for bit, in a loop that can be resumed.

Croce and Hein, ICML 2020, arXiv:2003.01690. Every batch starts from the same seed, as in the original, so the batch
size belongs to the result. pyautoattack's own resume never works, and its flags only reach a log: both are done here.
"""

import json
import sys
import time
from typing import Any

import torch
from pyautoattack import AutoAttack, checks
from torch import Tensor

from engine.ascent import assert_inside
from engine.bench import Assault, Bench, Keeping, Progress, Struck, predict

DLR_CLASSES = 4  # the targeted loss looks at the fourth largest logit
TARGETS = 9


class Ear:
    """Stands in for pyautoattack's logger: a warning becomes a code."""

    def __init__(self) -> None:
        self.codes: set[str] = set()
        self.listening_for = ""

    def warning(self, _message: str) -> None:
        """Heard."""
        self.codes.add(self.listening_for)


def run(bench: Bench, clean: Tensor, keeping: Keeping, progress: Progress) -> Assault:
    """All images through APGD-CE, APGD-T, FAB-T and Square; each attack meets the survivors of those before it.

    clean: N predictions before the attack. Below four classes APGD-T is left out, and a mark says so.
    """
    ear = Ear()
    y = bench.labels.cpu()
    parts = assemble(bench, _check(bench, keeping, ear), ear)
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
        for k, positions in enumerate(survivors.split(bench.batch_size)):
            batch = _strike(bench, part, positions, keeping, f"{name}-{k:05d}", ear)
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
        marks.add("rescored_differently")
        details["rescored_differently"] = float(differently)
    struck = Struck(robust, predicted, finite, distance, reach, seconds, details, tuple(sorted(marks)))
    return Assault(struck, kept)


def assemble(bench: Bench, outputs: int, ear: Ear) -> dict[str, Any]:
    """pyautoattack's attack objects as its standard version sets them up, by name, in order."""
    suite = AutoAttack(
        bench.net,
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
    suite.apgd.logger = suite.apgd_targeted.logger = ear
    parts = {"apgd-ce": suite.apgd, "apgd-t": suite.apgd_targeted, "fab-t": suite.fab, "square": suite.square}
    if outputs < DLR_CLASSES:
        del parts["apgd-t"]
        ear.codes.add("autoattack_few_classes")
    return parts


def _strike(bench: Bench, part: Any, positions: Tensor, keeping: Keeping, name: str, ear: Ear) -> dict[str, Tensor]:  # noqa: ANN401
    """One batch of survivors: who was fooled, and of those the prediction, the image and its distance."""
    saved = keeping.partial.load(name) if keeping.partial else None
    if saved is not None and torch.equal(saved["positions"], positions):
        ear.codes.update(json.loads(bytes(saved["codes"].tolist())))
        return saved
    began = time.perf_counter()
    x, y = bench.batch(positions)
    before = set(ear.codes)
    ear.listening_for = "autoattack_zero_gradient"
    with torch.no_grad():
        part.seed = bench.seed
        x_adv = part.perturb(x.clone(), y.clone())
        assert_inside(x_adv, x, bench.threat_model)
        answer = predict(bench.net, x_adv)
        fooled = answer != y
        again = predict(bench.net, x_adv[fooled]) if bool(fooled.any()) else answer[fooled]
    delta = (x_adv - x)[fooled].flatten(1)
    batch = {
        "positions": positions,
        "fooled": fooled.cpu(),
        "predicted": answer[fooled].cpu(),
        "x_adv": x_adv[fooled].cpu(),
        "distance": delta.norm(dim=1).cpu(),
        "reach": delta.abs().amax(dim=1).cpu(),
        "differently": (again == y[fooled]).sum().cpu(),
        "codes": torch.tensor(list(json.dumps(sorted(ear.codes - before)).encode()), dtype=torch.uint8),
        "seconds": torch.tensor(time.perf_counter() - began, dtype=torch.float64),
    }
    if keeping.partial:
        keeping.partial.save(name, batch)
    return batch


def _check(bench: Bench, keeping: Keeping, ear: Ear) -> int:
    """pyautoattack's checks of the model on the first batch; returns the number of outputs."""
    saved = keeping.partial.load("checks") if keeping.partial else None
    if saved is not None:
        ear.codes.update(json.loads(bytes(saved["codes"].tolist())))
        return int(saved["outputs"])
    x, y = bench.batch(torch.arange(bench.n)[: bench.batch_size])
    ear.listening_for = "autoattack_randomised"
    checks.check_randomized(bench.net, x, y, bs=bench.batch_size, logger=ear)
    ear.listening_for = "autoattack_probabilities"
    outputs = int(checks.check_range_output(bench.net, x, logger=ear))
    ear.listening_for = "autoattack_dynamic"
    _check_dynamic(bench, x, ear)
    if keeping.partial:
        codes = torch.tensor(list(json.dumps(sorted(ear.codes)).encode()), dtype=torch.uint8)
        keeping.partial.save("checks", {"codes": codes, "outputs": torch.tensor(outputs)})
    return outputs


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
