"""What normalization gives back of obfuscated rows, what it changes in plain ones, and how long it takes.

python benchmarks/normalize.py SPLITS [--model FILE] [--split test] [--rows 100]
"""

from __future__ import annotations

import argparse
import time
from collections import Counter, defaultdict
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd

from tinyguardrail.attacks.family import NothingToChange
from tinyguardrail.attacks.registry import FAMILIES
from tinyguardrail.normalization.language_model import CharacterLanguageModel
from tinyguardrail.normalization.normalizer import Normalizer

GRAM = 5
SIMILAR = 0.9
LONGEST = 2000  # characters of a row that is obfuscated
PLAIN_LENGTH = (170, 230)  # characters of the rows that are timed


def folded(text: str) -> str:
    return " ".join(text.lower().split())


def jaccard(one: str, two: str) -> float:
    """Of the sets of character n-grams."""
    first, second = ({text[i : i + GRAM] for i in range(max(1, len(text) - GRAM + 1))} for text in (one, two))
    return len(first & second) / len(first | second)


def recovery(rows: pd.DataFrame, transform_rows: int, search: Normalizer, show: str | None) -> pd.DataFrame:
    """Per transform and side: rows, share that comes back exactly, share nearly."""
    table = []
    for family in FAMILIES.values():
        for transform in family.transforms:
            if transform == "codechameleon_none":  # nothing is obfuscated
                continue
            for side in ("threat", "benign"):
                exact, near, english = [], [], []
                for row in rows[rows.side == side].itertuples():
                    text = row.text
                    if len(exact) == transform_rows:
                        break
                    try:
                        attacked = family.apply(text, transform, Random(len(exact)))
                    except NothingToChange:
                        continue
                    found = search(attacked.text)
                    got = folded(found.payload)
                    # A row may come obfuscated from its source: then that is undone as well.
                    wanted = {folded(text), folded(search(text).payload)}
                    exact.append(got in wanted)
                    near.append(got in wanted or max(jaccard(got, one) for one in wanted) >= SIMILAR)
                    english.append(row.language == "en")
                    if show and show in transform and not near[-1]:
                        print(
                            f"--- {transform} {found.steps}\nwanted {text!r}\n"
                            f"sent {attacked.text!r}\ngot {found.payload!r}"
                        )
                table.append(
                    (
                        transform,
                        side,
                        len(exact),
                        np.mean(exact),
                        np.mean(near),
                        np.mean(np.array(near)[english]),
                    )
                )
    return pd.DataFrame(table, columns=["transform", "side", "rows", "exact", "near", "near_english"])


def changes(rows: pd.DataFrame, search: Normalizer, show: int) -> None:
    """Prints the share of plain rows that are changed, per source and language, with examples."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    steps: Counter[tuple[str, ...]] = Counter()
    for row in rows.itertuples():
        found = search(row.text)
        changed = bool(found.steps)
        for key in ("all", f"source {row.source}", f"language {row.language}", f"side {row.side}"):
            counts[key][0] += changed
            counts[key][1] += 1
        if changed:
            steps[found.steps] += 1
            if steps[found.steps] <= show:
                print(
                    f"--- {row.source} {row.family} {row.language} {found.steps}\n"
                    f"{row.text[:300]!r}\n{found.payload[:300]!r}"
                )
    for key, (changed, total) in sorted(counts.items()):
        print(f"{key:<32} {changed:>5} of {total:>6} {changed / total:8.2%}")
    print(steps.most_common())


def timings(rows: pd.DataFrame, search: Normalizer) -> None:
    texts = [text for text in rows.text if PLAIN_LENGTH[0] <= len(text) <= PLAIN_LENGTH[1]][:500]
    took = []
    for text in texts:
        start = time.perf_counter()
        search(text)
        took.append((time.perf_counter() - start) * 1e3)
    print(f"plain, {len(texts)} rows: median {np.median(took):.2f} ms, P95 {np.percentile(took, 95):.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "splits", type=Path, help="folder with train.parquet, validation.parquet, test.parquet"
    )
    parser.add_argument("--model", type=Path, help="a saved model; fitted on the training split if missing")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--rows", type=int, default=100, help="obfuscated rows per transform and side")
    parser.add_argument("--plain", type=int, default=10**9, help="plain rows that are looked at")
    parser.add_argument("--show", help="print what does not come back of transforms with this in the name")
    parser.add_argument("--show-changes", type=int, default=0, help="examples of changed rows for each step")
    arguments = parser.parse_args()
    if arguments.model and arguments.model.is_file():
        model = CharacterLanguageModel.load(arguments.model)
    else:
        model = CharacterLanguageModel.fit(_plain_rows(arguments.splits / "train.parquet").text)
        if arguments.model:
            model.save(arguments.model)
    search = Normalizer(model)
    rows = _plain_rows(arguments.splits / f"{arguments.split}.parquet")
    rows = rows.sample(frac=1, random_state=0)
    timings(rows, search)
    changes(rows[: arguments.plain], search, arguments.show_changes)
    if arguments.rows:
        short = rows[rows.text.str.len() <= LONGEST]
        print(
            recovery(short, arguments.rows, search, arguments.show).to_string(
                index=False, float_format="%.3f"
            )
        )


def _plain_rows(path: Path) -> pd.DataFrame:
    rows = pd.read_parquet(path)
    rows = rows[rows["transform"] == "none"]
    return rows.assign(side=np.where(rows.label == "benign", "benign", "threat"))


if __name__ == "__main__":
    main()
