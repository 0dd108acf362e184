"""One rank of `benchmarks/scale.py`, under torchrun: its CPU time per step of one batch, as a line of JSON.

python -m torch.distributed.run --standalone --nproc-per-node=2 -m benchmarks.scale_rank STUDENT TEACHER STEPS
"""

import json
import statistics
import sys

import torch

from benchmarks.interleave import clock_of
from benchmarks.step import STUDENTS, random_subject, teacher_spec
from benchmarks.variants import CPU
from engine.fast.path import FastPath
from engine.fast.plan import FastPlan
from engine.methods import rslad
from engine.runtime.device import place
from engine.runtime.distributed import join
from engine.spec.attacks import ThreatModel
from engine.spec.methods import RSLAD
from engine.spec.training import Inner, Training
from engine.train import optim
from engine.train.step import maximiser, train_step
from engine.types import Nets

BATCH, WARMUP = 32, 2


def main() -> int:
    """Steps of the same batch on every rank."""
    student_name, teacher_name, steps = sys.argv[1:]
    torch.set_num_threads(1)
    torch.manual_seed(0)
    subject = random_subject(STUDENTS[student_name], teacher_spec(teacher_name), BATCH, CPU)
    layout = torch.channels_last
    student, teacher = (place(net, CPU, layout) for net in (subject.student.train(), subject.teacher))
    x, y = subject.batch(layout)
    with join(CPU) as ranks:
        fast = FastPath(
            Nets(student, teacher, 10, CPU), FastPlan(folded=True, paired=True, ranks=ranks.world_size), ranks
        )
        method = rslad.Method(RSLAD(), fast.nets)
        maximise = fast.maximiser(maximiser(student, ThreatModel(), Inner()), "eval")
        optimizer = optim.build(student, Training())
        fast.epoch_started(2)
        clock, spent = clock_of(CPU), []
        for number in range(int(steps)):
            torch.manual_seed(number)
            began = clock()
            fast.run(lambda x, y: train_step(method, maximise, [optimizer], x, y), x, y, None)
            spent.append(clock() - began)
        told = json.dumps({"rank": ranks.rank, "seconds_per_step": statistics.median(spent[WARMUP:])})
        ranks.barrier()
    sys.stdout.write(told + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
