"""An engine that trains nothing: it holds the lock and writes a run folder's files like the real one.

Usage: fake_engine.py RUN_DIR. What it does is read from `fake.json` beside the config (or $FAKE_ENGINE): epochs,
seconds per step, teacher, how to end.
"""

import fcntl
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path

from engine.spec import status as spec_status
from engine.spec.events import (
    AttackProgressed,
    AttackStarted,
    CheckpointSaved,
    EpochDone,
    Evaluated,
    EvaluationStarted,
    RunFailed,
    RunFinished,
    RunResumed,
    RunStarted,
    RunStopped,
    StageStarted,
    StepDone,
    TeacherChecked,
    TeacherRunStarted,
    TrainingStarted,
    Validated,
    Warned,
    encode,
)
from engine.spec.process import BLOCKED_SIGNALS
from engine.spec.rundir import RunDir
from engine.spec.statistics import wilson
from engine.spec.status import Status

LOGGED = "%(asctime)s %(levelname)s %(message)s"
STEPS = 4
SUITE = ["clean", "fgsm", "pgd_sat", "pgd_trades", "cw_inf", "pgd_rescaled", "autoattack", "worst"]
ACCURACY = {"clean": 0.967, "fgsm": 0.853, "pgd_sat": 0.811, "pgd_trades": 0.819, "cw_inf": 0.797,
            "pgd_rescaled": 0.808, "autoattack": 0.711, "worst": 0.708}  # fmt: skip
HOST = os.uname().nodename


class Fake:
    def __init__(self, path: Path, plan: dict) -> None:
        self.run, self.plan = RunDir(path), plan
        self.seq, self.asked = 0, ""
        self.status = Status(run=self.run.id, phase="starting", name=plan.get("name", ""), method="crdnd",
                             student="small_cnn", teacher="SmallResNet-8x16", data="digits",
                             epsilon="1/10", pid=os.getpid(), host=HOST, created=time.time())  # fmt: skip

    def say(self, event) -> None:
        self.seq += 1
        event = type(event)(**{f: getattr(event, f) for f in event.__struct_fields__} | {"seq": self.seq})
        with self.run.events.open("ab") as log:
            log.write(encode(event))
        if not isinstance(event, StepDone | AttackProgressed):
            logging.info("%s", encode(event).decode().strip()[:400])

    def note(self, **changes) -> None:
        fields = {f: getattr(self.status, f) for f in Status.__struct_fields__}
        self.status = Status(**fields | {"heartbeat": time.time()} | changes)
        temporary = self.run.path / "status.tmp"
        temporary.write_bytes(spec_status.encode(self.status))
        temporary.replace(self.run.status)

    def signalled(self, number, _frame) -> None:
        self.asked = signal.Signals(number).name

    def pause(self) -> None:
        time.sleep(self.plan.get("seconds", 0.0))
        reason = self.asked or ("stop file" if self.run.stop.exists() else "")
        if reason and not self.plan.get("deaf"):
            self.say(RunStopped(reason=reason, step=self.status.step))
            self.note(phase="stopped", reason=reason)
            sys.exit(3)

    def work(self) -> None:
        plan = self.plan
        again = self.run.events.exists()
        if again:
            self.seq = self.run.events.read_bytes().count(b"\n")
            self.say(RunResumed(step=0, discarded=0, checkpoint="", pid=os.getpid(), host=HOST))
        else:
            self.say(
                RunStarted(run=self.run.id, name=self.status.name, config_hash="0" * 64, pid=os.getpid(), host=HOST)
            )
        self.note()
        if plan.get("end") == "refuse":
            sys.stderr.write("preset: \x1b[31mno such thing\x1b[0m\n")
            sys.exit(2)
        if plan.get("teacher"):
            self.teacher(plan["teacher"])
        self.train(plan.get("epochs", 2))
        if plan.get("end") == "fail":
            self.say(RunFailed(kind="DivergedError", message="the loss `robust` is not finite at step 8 \x1b[2J",
                               hint="Lower the learning rate."))  # fmt: skip
            self.note(phase="failed", reason="the loss is not finite")
            sys.exit(1)
        if plan.get("end") == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        self.judge()
        self.say(RunFinished(seconds=12.5))
        self.note(phase="done")
        if plan.get("end") == "crash at exit":
            os.kill(os.getpid(), signal.SIGSEGV)

    def teacher(self, name: str) -> None:
        self.say(StageStarted(stage="teacher"))
        self.say(TeacherRunStarted(run=name))
        self.note(phase="teacher")
        path = self.run.path.parent / name
        path.mkdir(exist_ok=True)
        (path / "config.toml").write_text("")
        Fake(path, {"epochs": 2, "seconds": self.plan.get("seconds", 0.0)}).work()

    def train(self, epochs: int) -> None:
        self.say(TeacherChecked(source="run", model="SmallResNet-8x16", sha256="", clean=0.98, robust=0.83, n=512))
        self.say(StageStarted(stage="training"))
        self.say(TrainingStarted(epochs=epochs, steps_per_epoch=STEPS, images=1287, classes=[str(k) for k in range(10)],
                                 device="cpu", student_parameters=12345))  # fmt: skip
        for epoch in range(1, epochs + 1):
            for step in range((epoch - 1) * STEPS + 1, epoch * STEPS + 1):
                self.pause()
                loss = 2.3 / (1 + 0.1 * step)
                terms = {"clean": loss / 2, "robust": loss}
                self.say(
                    StepDone(
                        step=step, epoch=epoch, loss=loss, terms=terms, learning_rate=0.1, images_per_second=8310.0
                    )
                )
                self.note(phase="training", step=step, total_steps=epochs * STEPS, epoch=epoch - 1, epochs=epochs)
            low = [0.6 + 0.03 * k for k in range(10)]
            self.say(EpochDone(epoch=epoch, step=epoch * STEPS, loss=loss, terms=terms, learning_rate=0.1, seconds=0.4,
                               teacher_clean=[0.95 + 0.004 * k for k in range(10)], teacher_robust=low))  # fmt: skip
            robust = 0.5 + 0.3 * epoch / epochs
            accuracy = {"clean": 0.9 + 0.06 * epoch / epochs, "pgd": robust + 0.01, "cw_inf": robust}
            self.say(
                Validated(
                    epoch=epoch, step=epoch * STEPS, n=150, accuracy=accuracy, by="cw_inf", best=True, seconds=0.1
                )
            )
            self.say(CheckpointSaved(step=epoch * STEPS, epoch=epoch, file="a", bytes=10))
            self.note(epoch=epoch, best_epoch=epoch, validation=accuracy, loss=loss)

    def judge(self) -> None:
        self.say(StageStarted(stage="evaluation"))
        n, of = self.plan.get("n", 360), 360
        self.say(EvaluationStarted(checkpoints=["best", "last"], attacks=SUITE[1:-1], n=n, of=of))
        results: dict[str, dict[str, float]] = {}
        for checkpoint in ("best", "last"):
            for attack in SUITE:
                self.say(AttackStarted(checkpoint=checkpoint, attack=attack))
                if attack == "autoattack":
                    for part in ("apgd-ce", "apgd-t", "fab-t", "square"):
                        for done in range(0, n + 1, 120):
                            self.pause()
                            self.say(AttackProgressed(checkpoint=checkpoint, attack=attack, part=part, done=done,
                                                      total=n, robust=0.72))  # fmt: skip
                            self.note(phase="evaluation", attack=f"{checkpoint} autoattack {part} {done}/{n}")
                if attack == "cw_inf" and checkpoint == "best":
                    self.say(Warned(code="margin_gap", checkpoint="best", attack="pgd_sat",
                                    message="The margin attack finds more: judge by AutoAttack."))  # fmt: skip
                accuracy = ACCURACY[attack] - (0.008 if checkpoint == "last" and attack != "clean" else 0)
                right = round(n * accuracy)
                accuracy, (low, high) = right / n, wilson(right, n)
                self.say(Evaluated(checkpoint=checkpoint, attack=attack, accuracy=accuracy, n=n, of=of,
                                   low=low, high=high, seconds=2.0,
                                   spec={"name": attack, "epsilon": "1/10"},
                                   per_class=[accuracy + 0.01 * (k - 8) for k in range(10)]))  # fmt: skip
                results.setdefault(checkpoint, {})[attack] = accuracy
                self.note(phase="evaluation", results=results, results_n=n, attack="")


def main() -> None:
    path = Path(sys.argv[1])
    plan = json.loads(os.environ.get("FAKE_ENGINE", "{}"))
    if "join" in plan:  # a further node's part: it neither locks nor writes
        sys.stderr.write(f"joined {path.name}\n")
        time.sleep(plan.get("seconds", 0.0))
        sys.exit(plan["join"])
    lock = (path / "engine.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit("in use")
    lock.truncate(0)
    lock.write(json.dumps({"pid": os.getpid(), "host": HOST}))
    lock.flush()
    logging.basicConfig(filename=path / "engine.log", level=logging.INFO, format=LOGGED)
    fake = Fake(path, plan)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, fake.signalled)
    signal.pthread_sigmask(
        signal.SIG_UNBLOCK, BLOCKED_SIGNALS
    )  # whoever starts an engine holds them back until it listens
    if plan.get("end") == "mute":
        sys.exit(1)
    fake.work()


main()
