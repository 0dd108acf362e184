"""The terminal half: starts engines, reads run folders, prints. It never imports torch.

`engine` is the package that lies beside this one: a user's PYTHONPATH may hold another one of that name.
"""

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec


def _ours() -> None:
    """Import the package `engine` by its place, unless it is there."""
    beside = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120  before pathlib
    known = getattr(sys.modules.get("engine"), "__file__", None)
    if known is not None and os.path.dirname(os.path.dirname(os.path.abspath(known))) == beside:  # noqa: PTH100, PTH120
        return
    found = PathFinder.find_spec("engine", [beside])
    if found is None or found.loader is None:
        raise ImportError(f"no package `engine` lies in {beside}")
    sys.modules["engine"] = module = module_from_spec(found)
    found.loader.exec_module(module)


_ours()
