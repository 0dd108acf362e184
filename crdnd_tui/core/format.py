"""Numbers as text: the one place where anything is rounded. A value that is not known is a dash.

Negative numbers have a true minus, and what rounds to zero has no sign.
"""

import time
from collections.abc import Sequence
from math import isfinite

MINUS, MISSING = "\N{MINUS SIGN}", "\N{EN DASH}"
MANY = 10_000  # images that carry a second decimal
_HUGE = 1e9  # from here on a number has an exponent
_END_OF_TIME = 4e9  # unix seconds; what lies behind is no time but damage
UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def finite(value: float | None) -> float | None:
    """The value, or None for infinities and NaN."""
    return value if value is not None and isfinite(value) else None


def decimals(n: int) -> int:
    """Decimals of a percentage over `n` images."""
    return 2 if n >= MANY else 1


def fixed(value: float, digits: int) -> str:
    """With so many decimals; three significant digits where the number is huge."""
    text = f"{value:.{digits}f}" if abs(value) < _HUGE else f"{value:.3g}"
    if not text.strip("-0."):
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def percent(fraction: float | None, n: int = 0) -> str:
    """A fraction in per cent, without the sign, as `n` images carry it: 0.841 -> `84.1`."""
    return MISSING if fraction is None else fixed(100 * fraction, decimals(n))


def percentage(value: float, n: int = 0) -> str:
    """A value that is in per cent already: 84.1 -> `84.1`."""
    return fixed(value, decimals(n))


def whole_percent(fraction: float) -> str:
    """Without decimals; `<1` for what is little, but not zero."""
    text = fixed(100 * fraction, 0)
    return "<1" if fraction and text == "0" else text


def signed(value: float, digits: int = 1) -> str:
    """With its sign: `+0.7`, `\N{MINUS SIGN}0.7`, `0.0`."""
    text = fixed(value, digits)
    return text if text.startswith(MINUS) or not text.strip("0.") else f"+{text}"


def points(value: float, n: int = 0) -> str:
    """A difference in percentage points, signed, as `n` images carry it."""
    return signed(value, decimals(n))


def p_value(p: float) -> str:
    """Three significant digits; `< 0.001` below that."""
    return "< 0.001" if p < 0.001 else f"{p:#.3g}"


def count(value: float) -> str:
    """With thousands set apart; one decimal where it is not whole."""
    if isinstance(value, int):
        return f"{value:,}".replace("-", MINUS)
    if abs(value) >= _HUGE**2:
        return f"{value:.3g}".replace("-", MINUS)
    return (f"{value:,.0f}" if value == round(value) else f"{value:,.1f}").replace("-", MINUS)


def number(value: float | None, *, fixed: bool = False) -> str:
    """Four significant digits, zeros at the end only when `fixed`; `nan` for None, as a log keeps NaN."""
    return "nan" if value is None else f"{value:#.4g}" if fixed else f"{value:.4g}"


def compact(value: float, *, percent: bool = False) -> str:
    """At most four digits and a unit: `0.002`, `15.1k`, `2e-5`; a fraction in per cent when asked: `47.5%`."""
    if percent:
        return f"{100 * value:.4g}%"
    size = abs(value)
    if value == 0 or 1e-3 <= size < 1e4:
        return f"{value:.4g}"
    if 1e4 <= size < 1e15:
        unit, sign = next((unit, sign) for unit, sign in UNITS if size >= unit)
        return f"{value / unit:.4g}{sign}"
    return scientific(value)


def scientific(value: float) -> str:
    """`2e-5`, without the zeros and the plus that Python writes."""
    mantissa, _, power = f"{value:.3e}".partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    return "0" if value == 0 else f"{mantissa}e{int(power)}"


def position(x: float) -> str:
    """A place on an x axis: whole numbers with thousands set apart where that is short."""
    return f"{int(x):,}" if x == int(x) and abs(x) < 1e9 else compact(x)


def duration(seconds: float | None) -> str:
    """`41 s`, `4:05`, `1:08:12` or `2 d 03:10`."""
    if seconds is None:
        return MISSING
    whole = round(min(max(0.0, seconds), 1e12))
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour:02}:{minute:02}"
    if hours:
        return f"{hours}:{minute:02}:{second:02}"
    return f"{minute}:{second:02}" if minutes else f"{second} s"


def age(seconds: float) -> str:
    """`now`, `5 min`, `3 h`, `12 d`."""
    if seconds < 60:
        return "now"
    minutes = seconds / 60
    if minutes < 60:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.0f} h" if minutes < 2880 else f"{minutes / 1440:.0f} d"


def clock(when: float | None, now: float) -> str:
    """Local time of unix seconds: `18:40` within a day, `Tue 07:00` within a week, else the date."""
    if when is None or not 0 <= when < _END_OF_TIME:
        return MISSING
    form = "%H:%M" if abs(when - now) < 20 * 3600 else "%a %H:%M" if abs(when - now) < 6 * 86400 else "%Y-%m-%d"
    return time.strftime(form, time.localtime(when))


def size(count_of_bytes: float) -> str:
    """Bytes in binary units, three digits: `1.5 KiB`."""
    value, unit = _scaled(count_of_bytes, 1024, ("B", "KiB", "MiB", "GiB", "TiB"))
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def flops(count_of_flops: int | None) -> str:
    """`1.11 GFLOP`; unknown for None."""
    if count_of_flops is None:
        return "unknown"
    value, unit = _scaled(count_of_flops, 1000, ("FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP"))
    return f"{value:.0f} {unit}" if unit == "FLOP" else f"{value:.2f} {unit}"


def _scaled(value: float, step: int, units: Sequence[str]) -> tuple[float, str]:
    """Below 1,000 of the first unit in which it is, or of the last one."""
    place = next((k for k in range(len(units)) if value / step**k < 1000), len(units) - 1)
    return value / step**place, units[place]
