"""The one base of every value that comes from a file: frozen, typed strictly, closed to unknown keys."""

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field


class Spec(BaseModel):
    """A value read from a preset. It checks itself and does nothing else."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        use_attribute_docstrings=True,
    )


T = TypeVar("T")
Many = Annotated[tuple[T, ...], Field(strict=False)]  # a TOML array; its items stay strict
Steps = Annotated[int, Field(ge=1, le=100_000)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
