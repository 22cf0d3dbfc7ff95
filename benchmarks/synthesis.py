"""How fast splits are made and how much memory that takes, at one size or several.

    python benchmarks/synthesis.py --rows 140000 1400000

Each size runs in a process of its own, on invented sources: texts of random words with the lengths of the
authored corpus, a twentieth of them near copies of others. Printed per size are rows, seconds, rows per
second, the peak memory of the process and what it held before; `benchmarks/attacks.py` has the attacks alone.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from tinyguardrail.attacks.registry import FAMILIES
from tinyguardrail.data.labels import LABEL_OF_INTENT
from tinyguardrail.data.records import Record, write_records
from tinyguardrail.synthesis.grammar import Grammar
from tinyguardrail.synthesis.synthesis import synthesize
from tinyguardrail_paper.settings.params import Params, load_params

ROOT = Path(__file__).parent.parent
PLAIN, COMPOSED, OBFUSCATED = 0.45, 0.08, 0.47  # shares of all rows, as at full scale
HELD_OUT = 0.1  # share of obfuscated rows in validation, and again in test
COPY_EVERY = 20
KINDS = (
    ("everyday", "benign"),
    ("email", "benign"),
    ("plain_request", "harm"),
    ("instruction_override", "injection"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[140_000], help="rows to make, one run each")
    for rows in parser.parse_args().rows:
        process = multiprocessing.get_context("spawn").Process(target=measure, args=(rows,))
        process.start()
        process.join()


def measure(rows: int) -> None:
    """Make about that many rows in a temporary folder and print what it took."""
    with TemporaryDirectory() as scratch:
        raw, splits = Path(scratch) / "raw", Path(scratch) / "splits"
        splits.mkdir()
        write_records(raw / "authored.parquet", texts(round(rows * PLAIN)))
        grammar, params = Grammar(ROOT / "data/corpus/grammar"), settings(rows)
        before = peak_mib()
        start = time.perf_counter()
        card = synthesize(raw, splits, grammar, params)
        seconds = time.perf_counter() - start
        size = sum(path.stat().st_size for path in splits.iterdir()) / 2**20
    made = sum(card.counts["split",].values())
    figures = {
        "rows": made,
        "seconds": round(seconds, 1),
        "rows_per_second": round(made / seconds),
        "peak_mib": peak_mib(),
        "before_mib": before,
        "parquet_mib": round(size),
        "removed": sum(card.removed.values()),
    }
    print(json.dumps(figures), flush=True)


def peak_mib() -> int:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def texts(rows: int) -> Iterator[Record]:
    """Rows of random words; every twentieth repeats one of the last 200 but for a word."""
    rng = Random(0)
    letters = "abcdefghijklmnoprstuvwy"
    words = ["".join(rng.choices(letters, k=rng.randint(2, 10))) for _ in range(20_000)]
    recent = ["a first text to repeat"]
    for number in range(rows):
        family, intent = KINDS[number % len(KINDS)]
        text = " ".join(rng.choices(words, k=max(6, round(rng.lognormvariate(3.0, 0.7)))))
        if number % COPY_EVERY == 0:
            text = f"{rng.choice(recent)} {rng.choice(words)}"
        recent = [*recent[-199:], text]
        label, parent = LABEL_OF_INTENT[intent], f"authored/{number}"
        yield Record(text, label, "authored", family, "none", parent, "en", intent=intent)


def settings(rows: int) -> Params:
    """The root's settings, with as many compositions and obfuscations as that many rows need."""
    content = load_params(ROOT / "params.yaml").model_dump()
    content["data"]["sources"] = ["authored"]
    content["hard_negatives"] |= dict.fromkeys(
        ("trigger_words", "technical_documentation", "code", "borderline"), 0
    )
    content["compositions"] |= {
        "direct_injection": round(rows * COMPOSED / 2),
        "jailbreak": 0,
        "english_share": 1.0,
    }
    of_each_family = round(rows * OBFUSCATED / 2 / len(FAMILIES))
    content["attacks"] |= dict.fromkeys(FAMILIES, round(of_each_family * (1 - 2 * HELD_OUT)))
    content["attacks"] |= dict.fromkeys(("validation_rows", "test_rows"), round(of_each_family * HELD_OUT))
    return Params.model_validate(content)


if __name__ == "__main__":
    main()
