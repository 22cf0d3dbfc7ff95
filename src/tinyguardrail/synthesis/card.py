"""The data card: what the splits hold, in numbers that another checkout can be compared with."""

from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from random import Random
from typing import Any

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import NO_TRANSFORM, SPLITS, ContentHash, Record
from tinyguardrail.sources.registry import find_source
from tinyguardrail.synthesis.controls import CONTROL_SPLITS, shortcut_controls
from tinyguardrail.synthesis.diversity import length_percentiles

COLUMNS = ("split", "intent", "label", "source", "family", "transform", "language")
SAMPLE_ROWS = 12000  # texts of each of two splits that the controls are fitted and measured on


class DataCard:
    """Counts rows as they are written; memory does not grow with the texts."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, ...], Counter[tuple[str, ...]]] = defaultdict(Counter)
        self.removed: Counter[tuple[str, str, str]] = Counter()
        self._hashes: dict[str, ContentHash] = defaultdict(ContentHash)
        self._lengths = {BENIGN: array("i"), "threat": array("i")}
        self._samples = {split: Reservoir(SAMPLE_ROWS) for split in CONTROL_SPLITS}
        self._parents: set[int] = set()

    def add_fetched(self, record: Record) -> None:
        """Hash a row as its source gave it."""
        self._hashes[record.source].add(record)

    def add(self, record: Record) -> None:
        """Count a row of a split."""
        for column in COLUMNS:
            self.counts[(column,)][getattr(record, column)] += 1
        self.counts["split", "label"][record.split, record.label] += 1
        self.counts["source", "split"][record.source, record.split] += 1
        self.counts["language", "label"][record.language, record.label] += 1
        if record.transform != NO_TRANSFORM:
            self.counts["transform", "label"][record.transform, record.label] += 1
        self._lengths[BENIGN if record.label == BENIGN else "threat"].append(len(record.text))
        self._parents.add(hash(record.parent_id))
        if record.split in self._samples:
            self._samples[record.split].add(record)

    def as_json(
        self, report: Mapping[str, Any], diversity: Mapping[str, Any], missing: Mapping[str, str]
    ) -> dict[str, Any]:
        """The whole card.

        Args:
            report: what `fetch` wrote about each source: rows, drops, files, hash of its parquet file.
            diversity: figures of the authored corpus.
            missing: registered sources that are not used, and why.
        """
        return {
            "rows": sum(self.counts[("split",)].values()),
            "parents": len(self._parents),
            **{f"by_{column}": dict(sorted(self.counts[(column,)].items())) for column in COLUMNS},
            "by_split_and_label": _nested(self.counts["split", "label"], SPLITS),
            "by_source_and_split": _nested(self.counts["source", "split"]),
            "by_language_and_label": _nested(self.counts["language", "label"]),
            "by_transform_and_label": _nested(self.counts["transform", "label"]),
            "duplicates_removed": sum(self.removed.values()),
            "removed": self._removed(),
            "characters": {side: length_percentiles(found) for side, found in self._lengths.items()},
            "shortcuts": shortcut_controls({split: kept.rows for split, kept in self._samples.items()}),
            "authored_corpus": dict(diversity),
            "sources": {name: self._source(name, report[name]) for name in sorted(report)},
            "not_used": dict(sorted(missing.items())),
        }

    def _removed(self) -> dict[str, dict[str, dict[str, int]]]:
        """Reason, then the source of the row that fell, then the source of the row that it repeats."""
        found: dict[str, dict[str, dict[str, int]]] = {}
        for (reason, source, other), number in sorted(self.removed.items()):
            found.setdefault(reason, {}).setdefault(source, {})[other] = number
        return found

    def _source(self, name: str, fetched: Mapping[str, Any]) -> dict[str, Any]:
        entry = {
            **find_source(name).model_dump(include={"title", "licence", "page", "about", "label_rule"}),
            "rows_fetched": fetched["rows"],
            "rows_dropped": fetched["dropped"],
            "files": fetched["files"],
            "parquet_md5": fetched["parquet_md5"],  # as in dvc.lock, where a stage reads this file alone
        }
        if name in self._hashes:
            entry["content_sha256"] = self._hashes[name].hexdigest()
        return entry


class Reservoir:
    """A uniform sample of a stream (Vitter 1985, algorithm R), the same on every run."""

    def __init__(self, size: int) -> None:
        self.rows: list[Record] = []
        self._size, self._seen, self._rng = size, 0, Random(0)

    def add(self, record: Record) -> None:
        self._seen += 1
        if len(self.rows) < self._size:
            self.rows.append(record)
        elif (place := self._rng.randrange(self._seen)) < self._size:
            self.rows[place] = record


def _nested(counts: Counter[tuple[str, ...]], order: tuple[str, ...] = ()) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {key: {} for key in order}
    for (outer, inner), number in sorted(counts.items()):
        found.setdefault(outer, {})[inner] = number
    return found
