"""From sources to splits: rows gathered, copies across splits removed, threats composed and obfuscated.

Texts stream: they stand on disk (`RecordStore`, then parquet), and what is held in memory grows by
some hundred bytes a row. Splits are made in order of precedence, test first, so that a text is
compared with every text that outranks it before anything is built from it.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from pyarrow import parquet

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import Record, RecordWriter, iter_records
from tinyguardrail.sources.corpus import SOURCE
from tinyguardrail.sources.docstrings import Docstring
from tinyguardrail.sources.registry import find_source
from tinyguardrail.synthesis.card import DataCard
from tinyguardrail.synthesis.compositions import compositions
from tinyguardrail.synthesis.documents import sampled_documents
from tinyguardrail.synthesis.grammar import Grammar
from tinyguardrail.synthesis.hard_negatives import filling_lengths, resembling_attacks
from tinyguardrail.synthesis.obfuscation import obfuscated
from tinyguardrail.synthesis.params import SynthesisParams
from tinyguardrail.synthesis.scenarios import scenario_pairs
from tinyguardrail.synthesis.splits import PRECEDENCE, LeakFilter, SplitError, check_counts, split_of
from tinyguardrail.synthesis.store import RecordStore
from tinyguardrail.synthesis.topics import topic_pairs


def synthesize(raw: Path, splits: Path, grammar: Grammar, params: SynthesisParams) -> DataCard:
    """Write `splits/{train,validation,dev,test}.parquet` from the fetched sources; returns their card.

    Raises:
        RecordError: a source is missing or damaged.
        SplitError: a split lacks benign rows or threats, or a setting asks for more than there is.
    """
    card = DataCard()
    with ExitStack() as files:
        scratch = files.enter_context(TemporaryDirectory(".partial", ".rows", splits.parent))
        store = RecordStore(Path(scratch) / "rows")
        fixed = _gather(store, raw, grammar, params, card)
        leaks = LeakFilter(store)
        for split in PRECEDENCE:
            writer = files.enter_context(RecordWriter(splits / f"{split}.parquet"))
            for record in _split_rows(store, fixed, split, leaks, grammar, params):
                writer.write(record)
                card.add(record)
        check_counts(card.counts["split", "label"])
        card.removed.update(leaks.removed)
    return card


def _split_rows(
    store: RecordStore,
    fixed: np.ndarray,
    split: str,
    leaks: LeakFilter,
    grammar: Grammar,
    params: SynthesisParams,
) -> Iterator[Record]:
    """All rows of one split: what stays of the gathered ones, compositions, then obfuscations.

    Dev rows are whole sources as they are, less what nearly repeats a test row.
    """
    mine = np.flatnonzero(store.where(split=split)).astype(np.int32)
    if split == "dev":
        yield from (store[row] for row in leaks.keep(mine, split))
        return
    is_fixed = np.isin(mine, fixed)
    benchmark = leaks.keep(mine[is_fixed], split, fixed=True)
    kept = leaks.keep(mine[~is_fixed], split)
    composed = store.extend(compositions(store, kept, split, grammar, params.compositions, params.data))
    rows = np.concatenate([benchmark, kept, leaks.keep(composed, split)])
    yield from (store[row] for row in rows)
    yield from obfuscated(store, rows, split, params.data.split_seed, params.attacks)


def _gather(
    store: RecordStore, raw: Path, grammar: Grammar, params: SynthesisParams, card: DataCard
) -> np.ndarray:
    """Put every row of every source, and the hard negatives, into the store under its split.

    The test rows of a source that publishes some are those alone, so that results can be held against
    others'; its further rows go to training where their hash would have them tested.

    Returns:
        Numbers of the benchmark and dev rows, whose split their source fixes. Rows elsewhere that
        share a parent with one of them are left out and counted.
    """
    data = params.data
    names = [name for name in data.sources if find_source(name).kind == "classification"]
    fixed_parents: set[str] = set()
    published: set[str] = set()
    fixed = []
    for name in names:
        for record in iter_records(raw / f"{name}.parquet"):
            card.add_fetched(record)
            if record.split:
                fixed_parents.add(record.parent_id)
                if record.split == "test":
                    published.add(name)
                fixed.append(len(store))
                store.append(record)

    def put(rows: Iterable[Record]) -> None:
        for row in rows:
            if row.parent_id in fixed_parents:
                card.removed["parent in a benchmark", row.source, row.source] += 1
                continue
            split = split_of(row.parent_id, data)
            store.append(
                row._replace(split="train" if split == "test" and row.source in published else split)
            )

    for name in names:
        put(record for record in iter_records(raw / f"{name}.parquet") if not record.split)

    settings = params.hard_negatives
    docstrings, code = (_passages(raw, name, data.sources) for name in ("docstrings", "code"))
    authored = iter_records(raw / f"{SOURCE}.parquet") if SOURCE in names else ()
    put(resembling_attacks(list(authored), docstrings, grammar, settings, data))
    put(topic_pairs(grammar, settings.topics, data))
    put(scenario_pairs(grammar, settings.scenarios, data))
    put(sampled_documents(grammar, settings.documents, data.split_seed))
    lengths = np.delete(store.lengths(), fixed)
    benign = np.delete(store.where(label=BENIGN), fixed)
    seed = data.split_seed
    put(filling_lengths(docstrings, code, grammar, settings, seed, lengths[~benign], lengths[benign]))
    return np.array(fixed, np.int32)


def _passages(raw: Path, name: str, asked_for: Sequence[str]) -> list[Docstring]:
    if name not in asked_for:
        return []
    path = raw / f"{name}.parquet"
    if not path.is_file():
        raise SplitError(f"{path}: not found; run dvc repro")
    return [Docstring(**row) for row in parquet.read_table(path).to_pylist()]
