"""The base of every value that comes from a file (frozen, strict, closed to unknown keys), and its bounded numbers."""

import re
from fractions import Fraction
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema


class Spec(BaseModel):
    """A frozen value read from a file: strictly typed, without unknown keys, without infinite numbers."""

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

_TEXT = re.compile(r"[0-9]{1,20}(\.[0-9]{0,20})?(e-?[0-9]{1,3})?|[0-9]{1,9}/[0-9]{1,9}")  # no exponent that takes hours


class Pixels(float):
    """A distance between images whose pixels lie in [0, 1], read and shown as `8/255`."""

    @classmethod
    def parse(cls, value: object) -> "Pixels":
        """A radius from `"8/255"`, `"0.031"` or a number; ValueError if it is none, or outside [0, 1]."""
        try:
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                raise ValueError
            if isinstance(value, str) and not _TEXT.fullmatch(value):
                raise ValueError
            radius = float(Fraction(value))
        except (ValueError, OverflowError, ZeroDivisionError):
            raise ValueError(f"{value!r:.60} is no radius; write '8/255' or 0.031") from None
        if not 0.0 <= radius <= 1.0:
            raise ValueError(f"{value!r:.60} lies outside the image range [0, 1]; 8 grey levels are '8/255'")
        return cls(radius)

    def __str__(self) -> str:
        numerator = float(self) * 255
        if abs(numerator - round(numerator)) < 1e-9:
            return f"{round(numerator)}/255"
        return repr(float(self))

    def __repr__(self) -> str:
        return f"Pixels({str(self)!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {
            "anyOf": [{"type": "string", "pattern": f"^({_TEXT.pattern})$"}, {"type": "number"}],
            "description": "a distance in pixel units of [0, 1], such as '8/255'",
        }
