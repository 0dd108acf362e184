"""Amounts for people to read. What is not known is said to be unknown."""

UNKNOWN = "unknown"


def flops_text(flops: int | None) -> str:
    """`1.11 GFLOP`; unknown for None."""
    return _scaled(flops, 1000, ("FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP"))


def bytes_text(size: int | None) -> str:
    """`42.63 MiB`; unknown for None."""
    return _scaled(size, 1024, ("B", "KiB", "MiB", "GiB", "TiB"))


def percent(fraction: float) -> str:
    """`47.9 %`."""
    return f"{100 * fraction:.1f} %"


def _scaled(value: int | None, base: int, units: tuple[str, ...]) -> str:
    if value is None:
        return UNKNOWN
    power = 0
    while power + 1 < len(units) and value >= base ** (power + 1):
        power += 1
    return f"{value / base**power:.{2 if power else 0}f} {units[power]}"
