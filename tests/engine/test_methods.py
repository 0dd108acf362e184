"""Laws that every method obeys, whatever it is called: the union of specs says which methods there are."""

import ast
import inspect
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import engine.methods
from engine.spec.methods import ARD, CRDND, IAD
from engine.types import Nets, TrainingMethod
from tests.engine.method_bench import BATCH, CLASSES, SPECS, Net, batch, build

VARIANTS = [
    *(spec() for spec in SPECS),
    ARD(alpha=0.7),
    IAD(begin=0),
    IAD(begin=0, weigh_teacher=True, temperature=2.0),
    CRDND(compensate=False),
    *(CRDND(inner=inner) for inner in ("margin", "neg_cos", "kl_rescaled")),
    *(CRDND(space=space) for space in ("logits_centered", "probs")),
    *(CRDND(recall=recall) for recall in ("running", "global")),
    CRDND(off_diagonal="learned", matrix_convention="row"),
    CRDND(anchor="teacher", pool="nat_adv", keep_positive=False, mask_same_class="teacher_argmax"),
    CRDND(target="relational", anchor="teacher", pool="student_only", inner="neg_cos"),
]


def name(spec) -> str:
    changed = [f"{key}={getattr(spec, key)}" for key in sorted(spec.model_fields_set)]
    return "-".join([spec.name, *changed])


def questions(spec) -> int:
    """To the teacher, in one step: T(x), and T(x') where it is needed."""
    match spec.name:
        case "natural" | "pgd_at" | "trades":
            return 0
        case "ard" | "rslad":
            return 1
        case "iad":
            return 2 if spec.begin == 0 else 1
        case "crdnd":
            return 2
    raise AssertionError(f"say how often {spec.name} asks its teacher")


every_method = pytest.mark.parametrize("spec", VARIANTS, ids=name)
every_spec = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.__name__)


def test_every_spec_has_its_file_and_every_file_its_spec():
    files = {path.stem for path in Path(engine.methods.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == {spec().name for spec in SPECS}


@every_spec
def test_the_file_names_its_paper_and_offers_a_method(spec):
    module = import_module(f"engine.methods.{spec().name}")
    authors, _, year = spec.paper.rpartition(" ")
    document = ast.get_docstring(ast.parse(inspect.getsource(module))) or ""
    assert authors.split(" et al.")[0].strip("-") in document
    assert year.strip("-") in document
    assert issubclass(module.Method, TrainingMethod)


@every_spec
def test_a_method_that_needs_a_teacher_is_not_built_without(spec):
    made = import_module(f"engine.methods.{spec().name}").Method
    nets = Nets(Net(0), None, CLASSES)
    if spec.needs_teacher:
        with pytest.raises(AssertionError, match="teacher"):
            made(spec(), nets)
    else:
        made(spec(), nets)


@every_method
def test_it_teaches_the_student_and_only_the_student(spec):
    method, student, teacher, adversary = build(spec)
    x, y = batch()
    weights = [weight for group in method.optimizers() for part in group.param_groups for weight in part["params"]]
    method.loss(x, y, adversary).total.backward()
    assert student.linear.weight.grad is not None
    assert float(student.linear.weight.grad.norm()) > 0
    assert all(torch.isfinite(weight.grad).all() for weight in weights if weight.grad is not None)
    assert x.grad is None
    if teacher is not None:
        assert all(weight.grad is None for weight in teacher.parameters())
        assert not teacher.training


@every_method
def test_the_attack_leaves_no_gradient_behind(spec):
    method, student, _, adversary = build(spec)
    method.loss(*batch(), adversary)
    assert all(weight.grad is None for weight in student.parameters())
    assert all(not x_adv.requires_grad for x_adv in adversary.found)


@every_method
def test_the_adversary_is_given_one_number_per_image(spec):
    method, _, _, adversary = build(spec)
    method.loss(*batch(), adversary)
    assert all(values.shape == (BATCH,) for values in adversary.climbed)
    assert len(adversary.found) == (0 if spec.name == "natural" else 1)


@every_method
def test_the_adversary_climbs(spec):
    method, _, _, adversary = build(spec)
    method.loss(*batch(), adversary)
    if adversary.climbed:
        assert float(adversary.climbed[-1].sum()) > float(adversary.climbed[0].sum())


@every_method
def test_the_teacher_is_asked_just_as_often_as_needed_and_never_the_same_twice(spec):
    method, _, teacher, adversary = build(spec)
    x, y = batch()
    method.loss(x, y, adversary)
    asked = [] if teacher is None else teacher.asked
    assert len(asked) == questions(spec)
    expected = [x, *adversary.found][: len(asked)]
    assert all(torch.equal(question, image) for question, image in zip(asked, expected, strict=True))


@every_method
def test_the_student_is_asked_once_about_each_of_its_images_outside_the_attack(spec):
    method, student, _, adversary = build(spec)
    x, y = batch()
    loss = method.loss(x, y, adversary)
    asked = student.asked_in_training
    about_x = sum(torch.equal(question, x) for question in asked)
    about_x_adv = sum(torch.equal(question, found) for question in asked for found in adversary.found)
    assert about_x == (loss.clean is not None)
    assert about_x_adv == (loss.robust is not None)
    assert len(asked) == about_x + about_x_adv >= 1


@every_method
def test_the_logits_for_the_log_are_those_of_the_student_in_training(spec):
    method, student, _, adversary = build(spec)
    x, y = batch()
    loss = method.loss(x, y, adversary)
    for logits, images in ((loss.clean, x), (loss.robust, adversary.found[-1] if adversary.found else None)):
        if logits is not None:
            assert not logits.requires_grad
            torch.testing.assert_close(logits, student(images).detach())


@every_method
def test_the_terms_are_finite_scalars_without_a_graph(spec):
    method, _, _, adversary = build(spec)
    loss = method.loss(*batch(), adversary)
    assert loss.terms
    assert loss.total.shape == ()
    assert loss.total.requires_grad
    for term in loss.terms.values():
        assert term.shape == ()
        assert not term.requires_grad
        assert torch.isfinite(term)


def test_the_terms_have_the_same_names_in_every_epoch():
    method, _, _, adversary = build(IAD(begin=1))
    names = []
    for epoch in (1, 2):
        method.epoch_started(epoch, 2)
        names.append(list(method.loss(*batch(), adversary).terms))
    assert names[0] == names[1]


@every_method
def test_a_restored_method_has_the_same_next_loss_and_report(spec):
    method, student, _, adversary = build(spec)
    for epoch in (1, 2):
        method.epoch_started(epoch, 9)
        method.loss(*batch(epoch), adversary)
        if epoch == 1:
            method.epoch_ended()  # the second epoch is under way
    restored, copy, _, other = build(spec)
    copy.load_state_dict(student.state_dict())
    restored.load_state_dict(method.state_dict())
    losses = []
    for each, climbs in ((method, adversary), (restored, other)):
        torch.manual_seed(3)
        losses.append(each.loss(*batch(3), climbs).total.detach())
    assert torch.equal(*losses)
    assert method.report() == restored.report()
    method.epoch_ended()
    restored.epoch_ended()
    assert method.report() == restored.report()


@every_method
def test_it_learns_on_a_last_batch_of_two(spec):
    method, student, _, adversary = build(spec)
    x, y = batch()
    method.loss(x[:2], y[:2], adversary).total.backward()
    assert all(torch.isfinite(weight.grad).all() for weight in student.parameters() if weight.grad is not None)


@every_method
def test_the_report_holds_the_teachers_accuracies_by_hand(spec):
    method, _, teacher, adversary = build(spec)
    x, y = batch()
    method.loss(x, y, adversary)
    report = method.report()
    given = [report.teacher_clean, report.teacher_robust][: questions(spec)]
    assert [bool(share) for share in (report.teacher_clean, report.teacher_robust)] == [
        questions(spec) >= 1,
        questions(spec) >= 2,
    ]
    for shares, images in zip(given, (x, *adversary.found), strict=False):
        assert teacher is not None
        right = teacher(images).argmax(dim=1) == y
        by_hand = [float(right[y == c].double().mean()) if (y == c).any() else 1.0 for c in range(CLASSES)]
        assert list(shares) == pytest.approx(by_hand)


@every_method
def test_no_step_waits_for_the_device(spec):
    """Fake tensors have no values: whatever would copy one to the host raises."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        method, _, _, _ = build(spec)
        x, y = torch.rand(BATCH, 2, 3, 3), torch.zeros(BATCH, dtype=torch.int64)

        def adversary(objective, x):
            x_adv = x.clone().requires_grad_()
            torch.autograd.grad(objective(x_adv).sum(), x_adv)
            return x_adv.detach()

        method.loss(x, y, adversary).total.backward()
