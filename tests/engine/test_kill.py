"""A run killed at any moment and resumed ends with the same bits as one that was never killed."""

import random
from collections import Counter
from pathlib import Path

import pytest

from engine.spec.rundir import RunDir
from tests.engine.broken_runs import FINISHED, KILLED, Nursery, assert_same, make


def test_two_unbroken_runs_are_equal(nursery: Nursery, data: Path, whole: RunDir, tmp_path: Path) -> None:
    run = make(tmp_path, data)
    assert nursery.work(run) == FINISHED
    assert_same(run, whole)
