"""Threats built from two texts of one split, each beside a matched control of the same build.

An indirect injection is an injection set into a document, or an ordinary request or task that has
nothing to do with it; its matched control is the same document with an honest request, in English one
about the document (the document alone stands in the split already). Training documents are excerpts
around what is planted, so that a training window holds it. A jailbreak is a disallowed request in a
jailbreak frame, public or authored, and its matched control a harmless request in a benign frame; or
both stand bare between the same opener and closer.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from random import Random

import numpy as np

from tinyguardrail.data.contexts import POSITIONS, excerpt, insert
from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.params import Data
from tinyguardrail.data.records import Record
from tinyguardrail.sources.corpus import authored_row
from tinyguardrail.synthesis.grammar import Grammar
from tinyguardrail.synthesis.hard_negatives import frames_of
from tinyguardrail.synthesis.params import Compositions
from tinyguardrail.synthesis.splits import SplitError, belongs_to, distinct
from tinyguardrail.synthesis.store import RecordStore

INDIRECT = "composed_indirect"
FRAMED = "composed_frame"
DRESSED = "composed_request"
PLACEHOLDER = "[INSERT PROMPT HERE]"
DOCUMENTS = (
    "email", "web_page", "code_file", "tool_result", "document_with_question", "long_form",
    "paragraph", "sentence", "technical_documentation", "bipia_email_clean", "bipia_table_clean",
    "table", "forum_answer", "meeting_notes",
)  # fmt: skip
PLANTED = ("email", "web_page", "code_file", "tool_result", "document_with_question", "bipia_email",
           "bipia_table", "bipia_code")  # fmt: skip
REQUESTS = ("everyday", "work_and_business", "creative_writing", "instruction", "question", "coding", "terse")
DOCUMENT_CHARACTERS = (80, 1500)
PAYLOAD_CHARACTERS = (10, 400)
TRAINING_CHARACTERS = 450  # of a training document
REQUEST_CHARACTERS = (10, 240)
CODE_DOCUMENTS = ("code_file", "forum_answer")  # what is planted there speaks of code
UNRELATED_SHARE = 0.4  # of what is planted in English documents: ordinary requests, as in BIPIA
PLANTED_TASK_SHARE = 0.5  # of those: tasks written to be planted; the rest are benign requests
TEMPLATE_CHARACTERS = (40, 4000)
TEMPLATES = ("in_the_wild", "jailbreak_template")
DRESSED_SHARE = 0.4  # of requests: openers and closers in place of a frame, which keeps them short
TEMPLATE_SHARE = 0.4  # of framed English requests: public templates in place of authored frames
TRIES = 20  # draws per composition before the texts count as used up


class Pools:
    """Texts of one split by role and language: row numbers of the store, and what the grammar brings."""

    def __init__(
        self, store: RecordStore, rows: np.ndarray, split: str, grammar: Grammar, data: Data
    ) -> None:
        mine = np.zeros(len(store), bool)
        mine[rows] = True
        lengths = store.lengths()
        languages = store.column("language")

        def pool(characters: tuple[int, int], **wanted: object) -> dict[str, np.ndarray]:
            mask = mine & store.where(**wanted) & (lengths >= characters[0]) & (lengths <= characters[1])
            return {
                language: np.flatnonzero(mask & (languages == language))
                for language in sorted(set(languages[mask]))
            }

        self.store, self.grammar, self.split = store, grammar, split
        injections = pool(PAYLOAD_CHARACTERS, label="direct_injection")
        planted = store.where(family=PLANTED)
        self.documents = pool(DOCUMENT_CHARACTERS, label=BENIGN, family=DOCUMENTS)
        self.payloads = {
            language: bare for language, rows in injections.items() if len(bare := rows[~planted[rows]])
        }
        self.requests = pool(REQUEST_CHARACTERS, label=BENIGN, family=REQUESTS)
        self.disallowed = pool(REQUEST_CHARACTERS, label="jailbreak", family="plain_request")
        templates = pool(TEMPLATE_CHARACTERS, label="jailbreak", family=TEMPLATES).get("en", ())
        self.templates = [row for row in templates if PLACEHOLDER in store[row].text]

        belongs = belongs_to(split, data)
        self.frames = frames_of(grammar, belongs)
        self.about = {  # requests about a document by language
            language: own
            for language, requests in grammar.document_requests.items()
            if (own := list(filter(belongs, requests)))
        }
        # Tasks to plant by language and whether they are for code.
        self.tasks: dict[tuple[str, bool], list[str]] = defaultdict(list)
        for entry in grammar.planted_tasks:
            self.tasks[entry.language, entry.code] += filter(belongs, entry.planted_tasks)

    def draw(self, pool: Mapping[str, np.ndarray], language: str, rng: Random) -> Record:
        return self.store[rng.choice(pool[language])]


def compositions(
    store: RecordStore, rows: np.ndarray, split: str, grammar: Grammar, settings: Compositions, data: Data
) -> Iterator[Record]:
    """The split's share of composed threats, each before its matched control, of the texts in these rows.

    Raises:
        SplitError: the split's texts give fewer different compositions than the parameters ask for.
    """
    pools = Pools(store, rows, split, grammar, data)
    share = {
        "train": 1 - data.validation_fraction - data.test_fraction,
        "validation": data.validation_fraction,
        "test": data.test_fraction,
    }[split]
    for name, languages, build in (
        ("direct_injection", _indirect_languages(pools), _indirect),
        ("jailbreak", _framed_languages(pools), _framed),
    ):
        rng = Random(f"{data.split_seed}:{split}:{name}")
        wanted = round(getattr(settings, name) * share)
        drawn = (
            build(pools, _language(languages, settings.english_share, rng), rng)
            for _ in range(wanted * TRIES)
        )
        made = yield from distinct(drawn, wanted)
        if made < wanted:
            raise SplitError(
                f"compositions.{name} asks for {wanted} rows of split {split}, its texts give {made}; "
                "lower it or add sources"
            )


def _language(known: Sequence[str], english: float, rng: Random) -> str:
    """English with a set share, the other languages equally often."""
    others = [language for language in known if language != "en"]
    return "en" if not others or rng.random() < english else rng.choice(others)


def _indirect_languages(pools: Pools) -> list[str]:
    return sorted(pools.documents.keys() & pools.payloads.keys() & pools.requests.keys())


def _indirect(pools: Pools, language: str, rng: Random) -> tuple[Record, Record]:
    """Something planted in a document, and the same document with an honest request at an end."""
    document = pools.draw(pools.documents, language, rng)
    request = pools.draw(pools.requests, language, rng)
    payload = pools.draw(pools.payloads, language, rng)
    asked = request.text
    if language in pools.about:
        asked = rng.choice(pools.about[language])
        if rng.random() < UNRELATED_SHARE:
            payload = request._replace(label="direct_injection", intent="injection")
            tasks = pools.tasks[language, document.family in CODE_DOCUMENTS]
            if tasks and rng.random() < PLANTED_TASK_SHARE:
                task = rng.choice(tasks)
                payload = authored_row(task, "injection", INDIRECT, language, task)._replace(
                    split=pools.split
                )

    def planted(text: str, position: str) -> str:
        limit = TRAINING_CHARACTERS if pools.split == "train" else len(document.text)
        return insert(excerpt(document.text, position, limit), text, position)

    threat = planted(payload.text, rng.choice(POSITIONS))
    control = planted(asked, rng.choice((POSITIONS[0], POSITIONS[-1])))
    return payload._replace(text=threat, family=INDIRECT), document._replace(text=control, family=INDIRECT)


def _framed_languages(pools: Pools) -> list[str]:
    both = pools.disallowed.keys() & pools.requests.keys()
    return sorted(each for each in both if pools.frames[each, "jailbreak"] and pools.frames[each, BENIGN])


def _framed(pools: Pools, language: str, rng: Random) -> tuple[Record, Record]:
    """A disallowed and a harmless request, each in a frame of its kind, or both under the same words."""
    request = pools.draw(pools.disallowed, language, rng)
    harmless = pools.draw(pools.requests, language, rng)
    if language in pools.grammar.affixes and rng.random() < DRESSED_SHARE:
        dress = pools.grammar.dress(language, rng.randint(1, 3), rng)
        return (
            request._replace(text=dress(request.text), family=DRESSED),
            harmless._replace(text=dress(harmless.text), family=DRESSED),
        )
    if language == "en" and len(pools.templates) and rng.random() < TEMPLATE_SHARE:
        text = pools.store[rng.choice(pools.templates)].text.replace(PLACEHOLDER, request.text)
    else:
        text = rng.choice(pools.frames[language, "jailbreak"]).replace("{request}", request.text)
    asked = rng.choice(pools.frames[language, BENIGN]).replace("{request}", harmless.text)
    return request._replace(text=text, family=FRAMED, intent="jailbreak"), harmless._replace(
        text=asked, family=FRAMED
    )
