"""Slots of document templates: `<<city>>` from a list, `<<n:1-9>>` and the like made up.

A list slot keeps its value within one text, so that a mail names one customer; `<<name2>>` is
another value of the same list.
"""

import re
from collections.abc import Mapping, Sequence
from random import Random
from string import ascii_uppercase, digits

_SLOT = re.compile(r"<<([a-z]+)(\d?)(?::([^<>]+))?>>")
_RANGE = re.compile(r"(-?\d+)-(-?\d+)")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
           "October", "November", "December")  # fmt: skip
Dates = tuple[int, int, int]  # how a document writes dates, their year and month
_MADE_UP = ("n", "money", "code", "date", "time", "stamp")


def unknown_slots(template: str, values: Mapping[str, Sequence[str]]) -> list[str]:
    """Slots of a template that nothing fills: neither a list nor a kind of made-up value."""
    bad = []
    for name, _, argument in _SLOT.findall(template):
        ranged = name not in ("n", "money") or _RANGE.fullmatch(argument)
        if not ranged or (name not in _MADE_UP and name not in values):
            bad.append(name)
    return bad


def some_dates(rng: Random) -> Dates:
    """One way to write dates, and one month, for all of a document."""
    return rng.randrange(4), rng.randint(2019, 2025), rng.randint(1, 12)


def fill(template: str, values: Mapping[str, Sequence[str]], dates: Dates, rng: Random) -> str:
    """The template with every slot filled; `values` gives the lists by name."""
    chosen: dict[tuple[str, str], str] = {}
    seconds = 0

    def stamp() -> str:
        """A later moment of the same day each time, as in a log."""
        nonlocal seconds
        seconds = seconds + rng.randint(0, 200) if seconds else rng.randint(25_000, 75_000)
        clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        return f"{dates[1]}-{dates[2]:02}-{1 + (dates[1] + dates[2]) % 28:02}T{clock}"

    def value(match: re.Match[str]) -> str:
        name, number, argument = match.groups()
        if name == "stamp":
            return stamp()
        if name in _MADE_UP:
            return _made_up(name, argument, dates, rng)
        if (name, number) not in chosen:
            taken = {text for (other, _), text in chosen.items() if other == name}
            chosen[name, number] = rng.choice([each for each in values[name] if each not in taken])
        return chosen[name, number]

    return _SLOT.sub(value, template)


def _made_up(name: str, argument: str | None, dates: Dates, rng: Random) -> str:
    if name in ("n", "money"):
        low, high = map(int, _RANGE.fullmatch(argument).groups())
        number = rng.randint(low, high)
        return str(number) if name == "n" else f"{number}.{rng.choice((0, 50, 90, 95, 99, 25)):02}"
    if name == "code":
        made = (
            rng.choice(digits) if each == "#" else rng.choice(ascii_uppercase) if each == "?" else each
            for each in argument
        )
        return "".join(made)
    if name == "time":
        return f"{rng.randint(7, 20):02}:{rng.randint(0, 59):02}"
    style, year, month = dates
    day = rng.randint(1, 28)
    return (
        f"{day} {_MONTHS[month - 1]} {year}",
        f"{year}-{month:02}-{day:02}",
        f"{month}/{day}/{year}",
        f"{_MONTHS[month - 1][:3]} {day}, {year}",
    )[style]
