"""AutoAttack, standard version: pyautoattack's four attacks, its results bit for bit, in a loop that can be resumed.

Croce and Hein, ICML 2020, arXiv:2003.01690. Every batch starts from the same seed, as in the original, so the batch
size belongs to the result. pyautoattack cannot resume, and its warnings only reach a log: both are done here.
"""

import json
import sys
import time
from typing import Any

import torch
from pyautoattack import AutoAttack, checks
from torch import Tensor

from engine.ascent import assert_inside
from engine.evaluate.context import AttackCheckpoint, AttackResult, Batch, EvaluationContext, Progress, predict

DLR_CLASSES = 4  # the targeted loss needs the fourth largest logit
TARGETS = 9
# Images, and share of them, that FAB leaves so near to the boundary that sums in another batch turn them.
AT_THE_BOUNDARY, AT_THE_BOUNDARY_SHARE = 2, 0.005


class CodeLogger:
    """In place of pyautoattack's logger: any warning adds `code` to `codes`."""

    def __init__(self, code: str, codes: set[str]) -> None:
        self.code, self.codes = code, codes

    def warning(self, _message: str) -> None:
        self.codes.add(self.code)


def run(context: EvaluationContext, clean: Tensor, checkpoint: AttackCheckpoint, progress: Progress) -> AttackResult:
    """All images through APGD-CE, APGD-T, FAB-T and Square; each attack gets the survivors of those before it.

    clean: N predictions before the attack. Below four classes APGD-T is left out, and a mark says so.
    """
    y = context.labels.cpu()
    outputs, marks = context.ranks.on_leader(lambda: _check_model(context, checkpoint))
    parts = assemble(context, outputs)
    marks |= {"autoattack_few_classes"} if outputs < DLR_CLASSES else set()
    robust, predicted = clean == y, clean.clone()  # N, N
    kept = context.batch(context.gallery)[0].cpu()
    accuracy = {"clean": _share(robust)}
    seconds, differently = 0.0, 0
    for name, part in parts.items():
        survivors = robust.nonzero().squeeze(1)  # frozen: a resumed part must form the same batches
        if len(survivors) == 0:
            break
        done = 0
        progress(name, 0, len(survivors), _share(robust))
        batches = survivors.split(context.batch_size)
        for k, batch in checkpoint.each(
            context.ranks,
            name,
            len(batches),
            lambda k, part=part, batches=batches: _attack_batch(context, part, batches[k]),  # type: ignore[misc]
            lambda k, saved, batches=batches: torch.equal(saved["positions"], batches[k]),  # type: ignore[misc]
        ):
            marks.update(_decode(batch["codes"]))
            fallen = batches[k][batch["fooled"]]
            robust[fallen], predicted[fallen] = False, batch["predicted"]
            for place, x_adv in zip(fallen.tolist(), batch["x_adv"], strict=True):
                kept[context.gallery == place] = x_adv
            seconds += float(batch["seconds"])
            differently += int(batch["differently"])
            done += len(batches[k])
            progress(name, done, len(survivors), _share(robust))
        accuracy[name] = _share(robust)
    checks.check_square_sr(accuracy, logger=CodeLogger("autoattack_square", marks))
    details = {f"after_{name}": share for name, share in accuracy.items() if name != "clean"}
    if differently:
        details["rescored_differently"] = float(differently)
    if differently > max(AT_THE_BOUNDARY, AT_THE_BOUNDARY_SHARE * context.n):
        marks.add("rescored_differently")
    if not bool((predicted >= 0).all()):
        marks.add("non_finite")
    return AttackResult(robust, predicted, seconds, details, tuple(sorted(marks)), kept)


def assemble(context: EvaluationContext, outputs: int) -> dict[str, Any]:
    """pyautoattack's attack objects as its standard version sets them up, by name, in order."""
    suite = AutoAttack(
        context.attacked,
        norm="Linf",
        eps=float(context.threat_model.epsilon),
        seed=context.seed,
        version="standard",
        device=context.device,
    )
    targets = min(TARGETS, outputs - 1)
    suite.apgd.loss = "ce"
    suite.apgd_targeted.n_target_classes = targets
    suite.fab.targeted, suite.fab.n_restarts, suite.fab.n_target_classes = True, 1, targets
    targeted = {"apgd-t": suite.apgd_targeted} if outputs >= DLR_CLASSES else {}
    return {"apgd-ce": suite.apgd, **targeted, "fab-t": suite.fab, "square": suite.square}


def _attack_batch(context: EvaluationContext, part: Any, positions: Tensor) -> Batch:  # noqa: ANN401
    """One batch of survivors: who was fooled, and of those the prediction, the image and its distance."""
    began, codes = time.perf_counter(), set[str]()
    x, y = context.batch(positions)
    part.logger = CodeLogger("autoattack_zero_gradient", codes)
    with torch.no_grad():
        part.seed = context.seed
        x_adv = part.perturb(x.clone(), y.clone())
        assert_inside(x_adv, x, context.threat_model)
        answer = predict(context.net, x_adv)
        fooled = answer != y
        again = predict(context.net, x_adv[fooled]) if bool(fooled.any()) else answer[fooled]
    return {
        "positions": positions,
        "fooled": fooled.cpu(),
        "predicted": answer[fooled].cpu(),
        "x_adv": x_adv[fooled].cpu(),
        "differently": (again == y[fooled]).sum().cpu(),
        "codes": _encode(codes),
        "seconds": torch.tensor(time.perf_counter() - began, dtype=torch.float64),
    }


def _check_model(context: EvaluationContext, checkpoint: AttackCheckpoint) -> tuple[int, set[str]]:
    """pyautoattack's checks of the model on the first batch: the number of outputs, and codes of its warnings.

    Its last check counts in a global that it never clears, and switches tracers off: both are put right here.
    """
    saved = checkpoint.load("checks")
    if saved is not None:
        return int(saved["outputs"]), _decode(saved["codes"])
    codes = set[str]()
    x, y = context.batch(context.batches[0])
    randomised, probabilities = (CodeLogger(f"autoattack_{c}", codes) for c in ("randomised", "probabilities"))
    checks.check_randomized(context.net, x, y, bs=context.batch_size, logger=randomised)
    outputs = int(checks.check_range_output(context.net, x, logger=probabilities))
    tracer = sys.gettrace()
    checks.funcs.update(dict.fromkeys(checks.funcs, 0))
    try:
        checks.check_dynamic(context.net, x, False, logger=CodeLogger("autoattack_dynamic", codes))
    finally:
        sys.settrace(tracer)
        checks.funcs.update(dict.fromkeys(checks.funcs, 0))
    checkpoint.save("checks", {"codes": _encode(codes), "outputs": torch.tensor(outputs)})
    return outputs, codes


def _encode(codes: set[str]) -> Tensor:
    return torch.tensor(list(json.dumps(sorted(codes)).encode()), dtype=torch.uint8)


def _decode(codes: Tensor) -> set[str]:
    return set(json.loads(bytes(codes.tolist())))


def _share(robust: Tensor) -> float:
    return int(robust.sum()) / len(robust)
