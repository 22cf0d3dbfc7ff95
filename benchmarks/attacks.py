"""Rows per second of every transform, best of three passes over generated sentences, in one process."""

from __future__ import annotations

import time
from random import Random

from tinyguardrail.attacks.family import Family
from tinyguardrail.attacks.registry import FAMILIES

ROWS = 2000
PASSES = 3
WORDS = """
about all animals answer bake before bread bridge careful carry change children city clear cold colour count
dance describe draw early engine every explain family field find flower follow forest garden gentle give guide
happy harbour hear help history house idea island journey keep kitchen language late learn letter light list
little make market measure morning mountain music new number ocean old open ordinary paint paper park people
plan plant please quiet rain read recipe river rules school season short show simple small song station story
street summer table teach tell the their train travel tree under visit walk warm water weather week winter
"""


def sentences(rows: int, rng: Random) -> list[str]:
    """Sentences of 8 to 20 different words, 89 characters on average."""
    words = WORDS.split()
    return [" ".join(rng.sample(words, rng.randint(8, 20))).capitalize() + "." for _ in range(rows)]


def rows_per_second(family: Family, transform: str, texts: list[str]) -> float:
    best = float("inf")
    for seed in range(PASSES):
        rng = Random(seed)
        start = time.perf_counter()
        for text in texts:
            family.apply(text, transform, rng)
        best = min(best, time.perf_counter() - start)
    return len(texts) / best


if __name__ == "__main__":
    texts = sentences(ROWS, Random(0))
    print(f"{'family':<20} {'transform':<34} {'rows/s':>9}")
    for family in FAMILIES.values():
        for transform in family.transforms:
            print(f"{family.name:<20} {transform:<34} {rows_per_second(family, transform, texts):>9,.0f}")
