"""Attack families applied to threats and, in equal number, language and length, to benign text."""

from collections.abc import Callable, Iterator
from functools import partial
from random import Random

import numpy as np

from tinyguardrail.attacks.family import Family, NothingToChange
from tinyguardrail.attacks.registry import FAMILIES
from tinyguardrail.data.labels import BENIGN, OBFUSCATION
from tinyguardrail.data.records import Record
from tinyguardrail.synthesis.params import Attacks
from tinyguardrail.synthesis.splits import SplitError
from tinyguardrail.synthesis.store import RecordStore
from tinyguardrail_common.progress import progress

NEIGHBORS = 24  # benign texts of the nearest lengths that a control is drawn from
TRIES = 8  # of those, before the circle widens
PASSES = 4  # how often, beyond what the number asks for, a pool is gone through for new variants
Change = Callable[[str], str | None]  # a text obfuscated, or None where there is nothing to change


def obfuscated(
    store: RecordStore, rows: np.ndarray, split: str, seed: int, attacks: Attacks
) -> Iterator[Record]:
    """Obfuscated threats (label obfuscation), each followed by its matched control (label benign).

    Raises:
        SplitError: a transform can change fewer texts of the split than the parameters ask for.
    """
    lengths = store.lengths()
    short = rows[lengths[rows] <= attacks.max_characters]
    benign = store.where(label=BENIGN)
    threats = short[~benign[short]]
    if split == "test":
        threats = threats[store.where(source=attacks.test_sources)[threats]]
    controls = MatchedControls(store, short[benign[short]], lengths)
    for family in FAMILIES.values():
        total = getattr(attacks, family.name if split == "train" else f"{split}_rows")
        for place, transform in enumerate(family.transforms):
            rng = Random(f"{seed}:{split}:{transform}")
            change = partial(_change, family, transform, rng)
            wanted = total * (place + 1) // len(family.transforms) - total * place // len(family.transforms)
            made = 0
            changed = _changed(store, threats, wanted, change, rng)
            for threat, text in progress(changed, f"{transform} in {split}", wanted):
                control, control_text = controls.find(store, threat, change, rng)
                for row, label, new in ((threat, OBFUSCATION, text), (control, BENIGN, control_text)):
                    yield row._replace(text=new, label=label, family=family.name, transform=transform)
                made += 1
            if made < wanted:
                raise SplitError(
                    f"attacks.{family.name} asks for {wanted} rows of {transform}, the short texts of split "
                    f"{split} give {made}; lower it, raise attacks.max_characters or add texts"
                )


class MatchedControls:
    """Benign texts by language and length, to set one beside each threat."""

    def __init__(self, store: RecordStore, rows: np.ndarray, lengths: np.ndarray) -> None:
        languages = store.column("language")[rows]
        self._rows: dict[str, np.ndarray] = {}
        self._lengths: dict[str, np.ndarray] = {}
        for language in sorted(set(languages)):
            own = rows[languages == language]
            order = np.argsort(lengths[own], kind="stable")
            self._rows[language], self._lengths[language] = own[order], lengths[own][order]

    def find(self, store: RecordStore, threat: Record, change: Change, rng: Random) -> tuple[Record, str]:
        """A benign row that the transform changes, of about the threat's length and of its language.

        Where no row of that language serves, an English one does.
        """
        for language in (threat.language, "en"):
            rows = self._rows.get(language, np.zeros(0, np.int32))
            middle = int(np.searchsorted(self._lengths.get(language, rows), len(threat.text)))
            reach = NEIGHBORS
            while len(rows):
                low, high = max(0, middle - reach), min(len(rows), middle + reach)
                for row in rng.sample(range(low, high), min(high - low, TRIES)):
                    record = store[rows[row]]
                    if (text := change(record.text)) is not None:
                        return record, text
                if low == 0 and high == len(rows):
                    break
                reach *= 4
        raise SplitError(
            "no benign English text of the split can be obfuscated; raise attacks.max_characters"
        )


def _changed(
    store: RecordStore, pool: np.ndarray, wanted: int, change: Change, rng: Random
) -> Iterator[tuple[Record, str]]:
    """`wanted` different obfuscated texts; the pool is gone through again where variants differ."""
    made: set[int] = set()
    for _ in range(1 + PASSES * wanted // max(1, len(pool))):
        before = len(made)
        for row in rng.sample(range(len(pool)), len(pool)):
            if len(made) == wanted:
                return
            record = store[pool[row]]
            text = change(record.text)
            if text is not None and (key := hash(text)) not in made:
                made.add(key)
                yield record, text
        if len(made) == before:
            return


def _change(family: Family, transform: str, rng: Random, text: str) -> str | None:
    try:
        return family.apply(text, transform, rng).text
    except NothingToChange:
        return None
