"""Made-up runs of a comparison, with round numbers."""

from crdnd_tui.compare.comparison import compare
from crdnd_tui.compare.rows import ComparisonRow
from crdnd_tui.compare.runs import ComparedRun
from crdnd_tui.core.result_files import Images, images
from crdnd_tui.core.state import RunState
from crdnd_tui.write.comparison_document import comparison_document
from engine.spec.events import EpochDone, Evaluated, StepDone, TrainingStarted, Validated
from engine.spec.outcomes import Outcome, decode, encode, pack, summarise
from engine.spec.statistics import wilson

BALL = {"norm": "linf", "epsilon": "8/255", "seed": 0, "batch_size": 500}


def cell(attack, right, n=100, checkpoint="best", **more):
    low, high = wilson(right, n)
    spec = {"name": attack} | BALL | more.pop("spec", {})
    fields = {"checkpoint": checkpoint, "attack": attack, "accuracy": right / n, "n": n, "of": 100, "low": low}
    return Evaluated(**fields | {"high": high, "seconds": 1.0, "spec": spec} | more)


def side(run, cells=(), *, epsilon="8/255", data="cifar10", group="", seed=0, **more):
    table = {}
    for one in cells:
        table.setdefault(one.checkpoint, {})[one.attack] = one
    config = {
        "seed": seed, "data": {"name": data}, "method": {"name": run.partition("-")[0]},
        "threat_model": {"norm": "linf", "epsilon": epsilon},
    }  # fmt: skip
    state = more.pop("state", RunState(table=table))
    return ComparedRun(id=run, label=run, status="done", config=config, group=group, state=state, **more)


def seen(bits, *, indices="places", data="pixels", weights=""):
    """What a result file says of images of which these were got right: `1101`."""
    return Images(n=len(bits), right=int(bits, 2), indices=indices, data=data, weights=weights)


def classified(labels, guesses):
    """What the record of an attack says of images of these classes, taken for those; -1 is no finite answer."""
    bits, classes = [a == b for a, b in zip(labels, guesses, strict=True)], max(*labels, *guesses) + 1
    made = summarise(labels, guesses, bits, classes)
    outcome = Outcome(
        checkpoint="best", attack="autoattack", spec={}, n=len(bits), of=len(bits), **made._asdict(),
        robust=pack(bits), predicted=list(guesses), indices_sha256="i", data_sha256="d",
        weights_sha256="", seconds=0.0, device="cpu",
    )  # fmt: skip
    return images(decode(encode(outcome)))


def outcomes(run, *, checkpoint="best", known=None, spec=None, **bits):
    """A run judged image by image: `pgd_sat="1101"`; `known` goes to the records."""
    cells = [cell(a, b.count("1"), len(b), checkpoint, spec=spec or {}) for a, b in bits.items()]
    return side(run, cells, records={(checkpoint, a): seen(b, **known or {}) for a, b in bits.items()})


def row(*sides):
    """A row of these runs."""
    return ComparisonRow(runs=sides, label=sides[0].label)


def compared_document(runs, **asked):
    """The document of these runs, compared as asked."""
    return comparison_document(compare(runs, **asked))


def judged(run, pgd, suite, **more):
    return side(run, [cell("clean", 90), cell("pgd_sat", pgd), cell("autoattack", suite)], **more)


def trained(accuracies, losses=(), by="pgd"):
    training = TrainingStarted(
        epochs=9, steps_per_epoch=1, images=1, classes=["cat", "dog"], device="cpu", student_parameters=1
    )
    validations = tuple(
        Validated(epoch=k, step=k, n=1, accuracy={"clean": 0.9, "pgd": a}, by=by, best=True, seconds=0.0)
        for k, a in enumerate(accuracies, 1)
    )
    steps = tuple(
        StepDone(step=k, epoch=1, loss=loss, terms={"kd": loss, "ce": 0.0}, learning_rate=0.1, images_per_second=1.0)
        for k, loss in enumerate(losses, 1)
    )
    epochs = (EpochDone(epoch=1, step=1, loss=1.0, terms={}, learning_rate=0.1, seconds=1.0, teacher_clean=[1.0, 0.5]),)
    return RunState(training=training, validations=validations, steps=steps, epochs=epochs)
