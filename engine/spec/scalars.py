"""Numbers with a unit. Pixels live in [0, 1]; papers write radii as n/255, and so do we."""

from fractions import Fraction
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema


class Pixels(float):
    """A distance between images whose pixels lie in [0, 1], read and shown as `8/255`."""

    @classmethod
    def parse(cls, value: object) -> "Pixels":
        """A radius from `"8/255"`, `"0.031"` or a number; ValueError if it is none, or outside [0, 1]."""
        try:
            if isinstance(value, bool) or not isinstance(value, str | int | float) or len(str(value)) > 40:
                raise ValueError
            radius = float(Fraction(value))
        except (ValueError, OverflowError, ZeroDivisionError):
            raise ValueError(f"{str(value)[:40]!r} is no radius; write '8/255' or 0.031") from None
        if not 0.0 <= radius <= 1.0:
            raise ValueError(f"{value!r} lies outside the image range [0, 1]; 8 grey levels are '8/255'")
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
            "anyOf": [{"type": "string", "pattern": r"^[0-9.]+(/[0-9]+)?$"}, {"type": "number"}],
            "description": "a distance in pixel units of [0, 1], such as '8/255'",
        }
