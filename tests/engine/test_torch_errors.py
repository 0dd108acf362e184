"""Errors as the libraries print them, and what they mean to a user."""

import errno

import pytest
import torch

from engine.run import job, launch
from engine.runtime import torch_errors, torchrun
from engine.runtime.torchrun import RankExit
from engine.spec.methods import Natural
from engine.spec.rundir import RunDir
from tests.engine.test_trainer import config

AT = "NCCL error in: /pytorch/torch/csrc/distributed/c10d/NCCLUtils.cpp:77"
VERSION = "(run with NCCL_DEBUG=WARN for details), NCCL version 2.27.5"
USAGE = f"invalid usage {VERSION}\nncclInvalidUsage: This usually reflects invalid usage of NCCL library."
SYSTEM = (
    f"unhandled system error {VERSION}\nncclSystemError: System call (e.g. socket, malloc) or external library call"
)
INTERNAL = f"internal error - please report this issue {VERSION}\nncclInternalError: Internal check failed."
CUDA = f"unhandled cuda error {VERSION}\nncclUnhandledCudaError: Call to CUDA function failed."
REMOTE = f"remote process exited or there was a network error {VERSION}\nncclRemoteError: A call failed possibly due"


class AcceleratorError(RuntimeError):
    """As torch.AcceleratorError, which wants a code beside its text."""


def nccl(kind: str, last: str) -> Exception:
    return torch.distributed.DistBackendError(f"{AT}, {kind}\nLast error:\n{last}")


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 139.80 GiB"),
    AcceleratorError(
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API"
    ),
    RuntimeError("CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation' in https://docs.nvidia.com/cuda"),
    RuntimeError("CUDA driver error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED"),
    RuntimeError("Unable to find a valid cuDNN algorithm to run convolution"),
    RuntimeError("FIND was unable to find an engine to execute this computation"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
        "allocate 40000000000 bytes. Error code 12 (Cannot allocate memory)"
    ),
    RuntimeError("unable to mmap 1048576 bytes from file </f>: Cannot allocate memory (12)"),
    RuntimeError("std::bad_alloc"),
    MemoryError(),
    MemoryError("Unable to allocate 30.0 GiB for an array with shape (4026531840,) and data type float64"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    nccl(CUDA, "Cuda failure 2 'out of memory'"),
]
GONE = [
    RuntimeError(
        "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:44411"
    ),
    RuntimeError(
        "[../third_party/gloo/gloo/transport/tcp/pair.cc:525] Read error [10.0.0.2]:1: Connection reset by peer"
    ),
    RuntimeError(
        "[../third_party/gloo/gloo/transport/tcp/buffer.cc:72] Timed out waiting 1800000ms for recv operation"
    ),
    RuntimeError("Application timeout caused pair closure: gloo"),
    nccl(REMOTE, "socketProgress: Connection closed by remote peer node07<41234>"),
    nccl(SYSTEM, "socketProgressOpt: Call to recv from 10.0.0.2<5> failed : Connection reset by peer"),
    RuntimeError("NCCL communicator was aborted on rank 3."),
    torch.distributed.DistBackendError(
        "[Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=57, OpType=ALLREDUCE) ran for 1800354 "
        "milliseconds before timing out."
    ),
    torch.distributed.DistNetworkError("failed to recv, got 0 bytes"),
]
APART = [
    (nccl(USAGE, "Duplicate GPU detected : rank 1 and rank 0 both on CUDA device 1000"), "nvidia-smi -L"),
    (nccl(SYSTEM, "Error while creating shared memory segment /dev/shm/nccl-4 (size 9637888)"), "shm-size"),
    (nccl(SYSTEM, "Call to posix_fallocate failed : No space left on device"), "shm-size"),
    (nccl(INTERNAL, "Bootstrap : no socket interface found"), "NCCL_SOCKET_IFNAME"),
    (nccl(INTERNAL, "connecting to address  with family 59936 is neither AF_INET(2) nor AF_INET6(10)"), "ip addr"),
    (RuntimeError("[../gloo/transport/tcp/device.cc:84] Unable to find address for: eth9"), "GLOO_SOCKET_IFNAME"),
    (
        torch.distributed.DistNetworkError(
            "The server socket has failed to listen on any local network address. port: 29500, useIpv6: false, "
            "code: -98, name: EADDRINUSE, message: address already in use"
        ),
        "--rendezvous",
    ),
    (torch.distributed.DistStoreError("Timed out after 601 seconds waiting for clients. 1/2 joined"), "every node"),
]  # fmt: skip


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=str)
def test_memory_that_ran_out_is_called_so(error):
    assert torch_errors.cause_of(error).kind == "OutOfMemory"


@pytest.mark.parametrize("error", GONE, ids=str)
def test_who_only_hears_that_another_is_gone_is_no_cause(error):
    assert torch_errors.cause_of(error).kind == "Lost"


@pytest.mark.parametrize(("error", "advice"), APART, ids=lambda given: str(given)[-60:])
def test_what_keeps_ranks_from_meeting_is_told_with_advice(error, advice):
    found = torch_errors.cause_of(error)
    assert found.kind == "RanksApart"
    assert advice in found.hint and "\n" not in found.message
    assert found.message.startswith("NCCL: ") == ("Last error" in str(error))


def test_another_error_of_the_network_keeps_its_words_and_tells_how_to_learn_more():
    found = torch_errors.cause_of(nccl(CUDA, "Cuda failure 'invalid device ordinal'"))
    assert found == ("Network", "NCCL: Cuda failure 'invalid device ordinal'", torch_errors.UNTOLD)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (4x8 and 9x2)"),
        ValueError("NCCL"),
        KeyError("out of memory"),
        OSError(errno.EACCES, "Permission denied"),
    ],
    ids=str,
)
def test_all_else_is_none_of_these(error):
    assert torch_errors.cause_of(error).kind == ""


def test_the_message_is_one_line_and_never_empty():
    assert torch_errors.one_line(RuntimeError("")) == "RuntimeError"
    assert torch_errors.one_line(RuntimeError("\n  one\ntwo")) == "one"
    assert torch_errors.one_line(RuntimeError("before\nLast error:")) == "before"
    assert len(torch_errors.one_line(RuntimeError("x" * 999))) == 300


@pytest.mark.parametrize("error", [*OUT_OF_MEMORY, *(error for error, _ in APART)], ids=str)
@pytest.mark.parametrize("rank", [None, 1])
def test_a_run_that_fails_of_it_says_so_and_never_calls_it_a_defect_of_ours(error, rank, tmp_path, monkeypatch):
    monkeypatch.setattr(torchrun, "place", lambda: None if rank is None else torchrun.RankPlace(rank, 2))
    failure = job.failure_of(error, RunDir(tmp_path), config(Natural()))
    kind, message, hint = failure.kind, failure.message, failure.hint
    assert failure.code == job.FAILED
    assert kind == torch_errors.cause_of(error).kind and "defect" not in hint and hint
    assert "batch_size" in hint or kind != "OutOfMemory"
    assert message.startswith("rank 1 of 2: ") == (rank == 1)


def endings(*errors: Exception, deaths: tuple[int, ...] = ()) -> RankExit:
    """What is told of ranks that raised these, and of those that died."""
    said = []
    for rank, (kind, message, hint) in enumerate(map(torch_errors.cause_of, errors)):
        lost = kind == "Lost"
        said.append(RankExit(rank=rank, code=1, kind="" if lost else kind, message=message, hint=hint, lost=lost))
    left = [RankExit(rank=rank, code=1) for rank in range(len(errors))]
    return launch.first_cause(said, [*left, *(RankExit(rank=9, code=code) for code in deaths)], 1, ranks=4)


def test_ranks_that_all_fail_in_the_beginning_keep_their_cause():
    duplicate = APART[0][0]
    cause = torch_errors.cause_of(duplicate)
    assert cause.message == "NCCL: Duplicate GPU detected : rank 1 and rank 0 both on CUDA device 1000"
    assert endings(duplicate, duplicate).message == cause.message
    assert endings(GONE[0], duplicate, GONE[1]).hint == cause.hint
    assert endings(duplicate, GONE[0], deaths=(-6,)).hint == cause.hint  # its watchdog aborts another


def test_an_error_that_nobody_knows_gives_way_to_a_known_one_and_to_a_death():
    unknown = nccl(CUDA, "Cuda failure 'unspecified launch failure'")
    assert endings(unknown, OUT_OF_MEMORY[1]).kind == "OutOfMemory"
    assert "SIGKILL" in endings(unknown, deaths=(-9,)).message
    assert endings(unknown, GONE[0]).kind == "Network"


def test_ranks_that_all_lost_each_other_say_what_they_heard():
    told = endings(GONE[4], GONE[4])
    assert "Connection closed by remote peer" in told.message and "NCCL_DEBUG" in told.hint
