"""A GPU in name: CPU tensors that call themselves cuda:0 and, as on a GPU, refuse to be mixed with others.

Unlike fake tensors these have values, so that code which looks at numbers can be played, too. Needs no GPU.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
_copied = nn.Parameter.__deepcopy__
MOVES = frozenset({"to", "cpu"})
BETWEEN = frozenset({"copy_", "set_data"})  # copies from device to device are allowed


class Pretended(TorchFunctionMode):
    """Inside, `.to("cuda")` and `device="cuda"` make tensors that are on the GPU by name; RuntimeError on a mixture."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", str(func))
        if func == Tensor.device.__get__:
            return GPU if is_there(args[0]) else CPU
        if name == "numpy" and is_there(args[0]):
            raise RuntimeError("numpy cannot read a GPU")
        if name == "__deepcopy__":  # its memo may hold tensors of anywhere
            return _put(func(*args, **kwargs), there=is_there(args[0]))
        if name in MOVES:
            return _moved(func, name, args, kwargs)
        if name in BETWEEN:
            return func(*args, **kwargs)
        if name in ("__getitem__", "__setitem__"):
            _may_index(args)
            result = func(*args, **kwargs)
            return _put(result, there=is_there(args[0]))
        if kwargs.get("device") is not None:
            there = torch.device(kwargs["device"]).type == "cuda"
            return _put(func(*args, **kwargs | {"device": CPU}), there=there)
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        places = {is_there(tensor) for tensor in inputs if tensor.dim() > 0}
        if len(places) > 1:
            raise RuntimeError(f"tensors on different devices meet in {name}")
        there = places.pop() if places else any(map(is_there, inputs))  # numbers go along with anything
        return _put(func(*args, **kwargs), there=there)


def is_there(tensor: Tensor) -> bool:
    """Whether it is on the GPU by name."""
    return getattr(tensor, "is_on_the_pretended_gpu", False)


def copied(parameter: nn.Parameter, memo: dict[int, Any]) -> nn.Parameter:
    """Stands in for a parameter's __deepcopy__, which no mode hears: the copy lies where the parameter does."""
    memo[id(parameter)] = _put(_copied(parameter, memo), there=is_there(parameter))
    return memo[id(parameter)]


def place(net: nn.Module) -> nn.Module:
    """The net's weights and buffers, on the GPU by name."""
    for tensor in (*net.parameters(), *net.buffers()):
        _put(tensor, there=True)
    return net


def _moved(func: Any, name: str, args: Any, kwargs: Any) -> Tensor:
    source, there = args[0], name != "cpu" and is_there(args[0])
    wishes = [*args[1:], *kwargs.values()]
    for wish in wishes:
        if isinstance(wish, Tensor):
            there = is_there(wish)
        elif isinstance(wish, torch.device | str):
            there = torch.device(wish).type == "cuda"
    here = [CPU if isinstance(arg, torch.device | str) else arg for arg in args]
    result = func(*here, **kwargs | ({"device": CPU} if "device" in kwargs else {}))
    return _put(result.clone() if result is source and there != is_there(source) else result, there=there)


def _may_index(args: Any) -> None:
    """Indices lie on the CPU or with what they index; values that are put lie with it, or are numbers."""
    there = is_there(args[0])
    indices = [leaf for leaf in tree_leaves(args[1]) if isinstance(leaf, Tensor) and leaf.dim() > 0]
    if not there and any(map(is_there, indices)):
        raise RuntimeError("indices on the GPU into a tensor on the CPU")
    value = args[2] if len(args) > 2 else None
    if indices and isinstance(value, Tensor) and value.dim() > 0 and is_there(value) != there:
        raise RuntimeError("values on another device are put into a tensor")


def _put(result: Any, *, there: bool) -> Any:
    for leaf in tree_leaves(result):
        if isinstance(leaf, Tensor):
            leaf.is_on_the_pretended_gpu = there
    return result
