"""Packages that only some exports need: imported when one is asked for, and named when one is missing."""

from importlib import import_module
from typing import Any

from engine.spec.errors import CrdndError


def load(module: str, extra: str) -> Any:  # noqa: ANN401  a module without types
    """The module; CrdndError with what installs it when it is not there."""
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise CrdndError(
            f"the package {package} cannot be loaded: {error}", hint=f"pip install 'crdnd-tui[{extra}]' brings it."
        ) from None
