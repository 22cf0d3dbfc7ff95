"""The data card as tables: one page of the paper."""

from typing import Any

from tinyguardrail.data.labels import BENIGN, INTENTS, LABELS
from tinyguardrail.data.records import SPLITS
from tinyguardrail_paper.analysis.suites import title
from tinyguardrail_paper.tables.formatting import number, readable
from tinyguardrail_paper.tables.table import DATA_CARD, Rows, declare

MANY = 24  # entries of a long list that are shown; the rest are summed
PARTS = ("all", "untransformed", "obfuscated")  # of the validation rows
VARIETY = {
    "texts": ("texts", "count"),
    "languages": ("languages", "count"),
    "kinds": ("kinds", "count"),
    "words": ("words", "count"),
    "distinct_words": ("distinct words", "count"),
    "distinct_2_grams": ("distinct pairs of words", "percent"),
    "distinct_3_grams": ("distinct triples of words", "percent"),
    "nearest_over_0.5": ("nearest other text over half alike", "percent"),
    "most_common_opening_share": ("most common opening of three words", "percent"),
    "effective_topics": ("effective topics, of a hundred clusters", "setting"),
}


@declare("data", "Rows after removal of duplicates.", " |  | Rows", DATA_CARD)
def counts(card: dict[str, Any]) -> Rows:
    rows = [("all", "", f"{card['rows']:,}")]
    for by, order in (("split", SPLITS), ("intent", INTENTS), ("label", LABELS)):
        counts = card[f"by_{by}"]
        for place, key in enumerate(key for key in order if key in counts):
            rows.append((by if place == 0 else "", readable(key), f"{counts[key]:,}"))
    return rows


@declare(
    "data_sources",
    "Sources. Rows of the splits include what was built from a source: compositions, obfuscations.",
    f"Source | Licence | Fetched | Dropped | {' | '.join(split.capitalize() for split in SPLITS)}",
    DATA_CARD,
)
def sources(card: dict[str, Any]) -> Rows:
    rows = []
    for name, source in card["sources"].items():
        splits = card["by_source_and_split"].get(name, {})
        dropped = sum(source["rows_dropped"].values())
        counts = (source["rows_fetched"], dropped, *(splits.get(split, 0) for split in SPLITS))
        rows.append((source["title"], source["licence"], *(f"{count:,}" for count in counts)))
    return rows


@declare("data_families", "Rows by family, controls included.", "Family | Rows", DATA_CARD)
def families(card: dict[str, Any]) -> Rows:
    counts = sorted(card["by_family"].items(), key=lambda each: (-each[1], each[0]))
    rows = [(title(name), f"{count:,}") for name, count in counts[:MANY]]
    if counts[MANY:]:
        rest = sum(count for _, count in counts[MANY:])
        rows.append((f"{len(counts) - MANY} smaller families", f"{rest:,}"))
    return rows


@declare("data_languages", "Rows by language.", "Language | Benign | Threats", DATA_CARD)
def languages(card: dict[str, Any]) -> Rows:
    counts = {}
    for language, labels in card["by_language_and_label"].items():
        benign = labels.get(BENIGN, 0)
        counts[language] = (benign, sum(labels.values()) - benign)
    rows = sorted(counts.items(), key=lambda each: (-sum(each[1]), each[0]))
    return [(language, f"{benign:,}", f"{threats:,}") for language, (benign, threats) in rows]


@declare(
    "data_controls",
    "Shortcuts: AUC of threats against benign text from one property alone, on validation rows.",
    f"Known | {' | '.join(PARTS)}",
    DATA_CARD,
)
def controls(card: dict[str, Any]) -> Rows:
    names = ("length", "language", "source", "bag_of_characters")
    parts = [card["shortcuts"].get(part, {}) for part in PARTS]
    return [
        (readable(name), *(number(part.get(f"{name}_auc"), "probability") for part in parts))
        for name in names
    ]


@declare(
    "data_removed",
    "Duplicates removed, by pair of sources.",
    "Removed as | From | Repeats a row of | Rows",
    DATA_CARD,
)
def removed(card: dict[str, Any]) -> Rows:
    found = [
        (count, reason, source, other)
        for reason, sources in card["removed"].items()
        for source, others in sources.items()
        for other, count in others.items()
    ]
    found.sort(key=lambda each: (-each[0], each[1:]))
    rows = [(reason, source, other, f"{count:,}") for count, reason, source, other in found[:MANY]]
    if found[MANY:]:
        rows.append(("smaller pairs", "", "", f"{sum(each[0] for each in found[MANY:]):,}"))
    rows.append(("all", "", "", f"{card['duplicates_removed']:,}"))
    return rows


@declare("data_corpus", "The authored corpus.", " | ", DATA_CARD)
def variety(card: dict[str, Any]) -> Rows:
    corpus = card["authored_corpus"]
    rows = [(title, number(corpus[key], kind)) for key, (title, kind) in VARIETY.items()]
    lengths = corpus["characters"]
    rows.append(("characters: median, 5% to 95%", f"{lengths['p50']}, {lengths['p5']} to {lengths['p95']}"))
    return rows
