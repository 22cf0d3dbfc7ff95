"""Threats built from two texts of one split, each beside a benign twin of the same build.

An indirect injection is an injection set into a document, or an ordinary request or task that has
nothing to do with it; its twin is the same document with an honest request, in English one about the document
(the document alone stands in the split already). Training documents are excerpts around what is
planted, so that a training window holds it. A jailbreak is a disallowed request
in a jailbreak frame, public or authored, and its twin a harmless request in a benign frame; or both
stand bare between the same opener and closer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from random import Random

import numpy as np

from tinyguardrail.data.contexts import POSITIONS, excerpt, insert
from tinyguardrail.data.grammar import Grammar
from tinyguardrail.data.hard_negatives import frames_of
from tinyguardrail.data.records import BENIGN, NO_TRANSFORM, Record, parent_of
from tinyguardrail.data.splits import SplitError, split_of
from tinyguardrail.data.store import RecordStore
from tinyguardrail.params import Compositions, Data

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
Frames = dict[tuple[str, str], list[str]]


class Pools:
    """Row numbers of one split by role and language."""

    def __init__(self, store: RecordStore, rows: np.ndarray) -> None:
        mine = np.zeros(len(store), bool)
        mine[rows] = True
        lengths = store.lengths()
        languages = store.column("language")

        def pool(characters: tuple[int, int], **wanted: object) -> dict[str, np.ndarray]:
            mask = mine & store.where(**wanted) & (lengths >= characters[0]) & (lengths <= characters[1])
            found: dict[str, np.ndarray] = {}
            for language in sorted(set(languages[mask])):
                found[language] = np.flatnonzero(mask & (languages == language))
            return found

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


def compositions(
    store: RecordStore, rows: np.ndarray, split: str, grammar: Grammar, settings: Compositions, data: Data
) -> Iterator[Record]:
    """The split's share of composed threats, each followed by its benign twin, of the texts in these rows.

    Raises:
        SplitError: the split's texts give fewer different compositions than the parameters ask for.
    """
    pools = Pools(store, rows)
    share = {
        "train": 1 - data.validation_fraction - data.test_fraction,
        "validation": data.validation_fraction,
        "test": data.test_fraction,
    }[split]
    frames = frames_of(grammar, split, data)
    builds = {
        "direct_injection": (
            _indirect_languages(pools),
            partial(
                _indirect,
                store,
                pools,
                _document_requests(grammar, split, data),
                _planted_tasks(grammar, split, data),
                split == "train",
            ),
        ),
        "jailbreak": (_framed_languages(pools, frames), partial(_framed, store, pools, frames, grammar)),
    }
    for name, (languages, build) in builds.items():
        rng = Random(f"{data.split_seed}:{split}:{name}")
        wanted = round(getattr(settings, name) * share)
        made: set[str] = set()
        for _ in range(wanted * TRIES):
            if len(made) == wanted:
                break
            threat, twin = build(_language(languages, settings.english_share, rng), rng)
            if threat.text not in made:
                made.add(threat.text)
                yield threat._replace(split=split)
                yield twin._replace(split=split)
        if len(made) < wanted:
            raise SplitError(
                f"compositions.{name} asks for {wanted} rows of split {split}, its texts give {len(made)}; "
                "lower it or add sources"
            )


def _language(known: Sequence[str], english: float, rng: Random) -> str:
    """English with a set share, the other languages equally often."""
    others = [language for language in known if language != "en"]
    return "en" if not others or rng.random() < english else rng.choice(others)


def _indirect_languages(pools: Pools) -> list[str]:
    return sorted(pools.documents.keys() & pools.payloads.keys() & pools.requests.keys())


def _document_requests(grammar: Grammar, split: str, data: Data) -> dict[str, list[str]]:
    """Requests about a document by language; one has a split as a text has."""
    return {
        language: mine
        for language, requests in grammar.document_requests.items()
        if (mine := [each for each in requests if split_of(parent_of("authored", each), data) == split])
    }


def _planted_tasks(grammar: Grammar, split: str, data: Data) -> dict[tuple[str, bool], list[str]]:
    """Tasks to plant by language and whether they are for code; one has a split as a text has."""
    found: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for entry in grammar.planted_tasks:
        for each in entry.planted_tasks:
            if split_of(parent_of("authored", each), data) == split:
                found[entry.language, entry.code].append(each)
    return found


def _indirect(
    store: RecordStore,
    pools: Pools,
    about: dict[str, list[str]],
    tasks: dict[tuple[str, bool], list[str]],
    short: bool,
    language: str,
    rng: Random,
) -> tuple[Record, Record]:
    """Something planted in a document, and the same document with an honest request at an end."""
    document = store[rng.choice(pools.documents[language])]
    request = store[rng.choice(pools.requests[language])]
    payload = store[rng.choice(pools.payloads[language])]
    asked = request.text
    if language in about:
        asked = rng.choice(about[language])
        if rng.random() < UNRELATED_SHARE:
            payload = request._replace(label="direct_injection")
            own = tasks[language, document.family in CODE_DOCUMENTS]
            if own and rng.random() < PLANTED_TASK_SHARE:
                payload = _task(rng.choice(own), language)

    def planted(text: str, position: str) -> str:
        limit = TRAINING_CHARACTERS if short else len(document.text)
        return insert(excerpt(document.text, position, limit), text, position)

    threat = planted(payload.text, rng.choice(POSITIONS))
    twin = planted(asked, rng.choice((POSITIONS[0], POSITIONS[-1])))
    return payload._replace(text=threat, family=INDIRECT), document._replace(text=twin, family=INDIRECT)


def _task(text: str, language: str) -> Record:
    parent = parent_of("authored", text)
    return Record(text, "direct_injection", "authored", INDIRECT, NO_TRANSFORM, parent, language)


def _framed_languages(pools: Pools, frames: Frames) -> list[str]:
    both = pools.disallowed.keys() & pools.requests.keys()
    return sorted(each for each in both if frames[each, "jailbreak"] and frames[each, BENIGN])


def _framed(
    store: RecordStore, pools: Pools, frames: Frames, grammar: Grammar, language: str, rng: Random
) -> tuple[Record, Record]:
    """A disallowed and a harmless request, each in a frame of its kind, or both under the same words."""
    request = store[rng.choice(pools.disallowed[language])]
    harmless = store[rng.choice(pools.requests[language])]
    if language in grammar.affixes and rng.random() < DRESSED_SHARE:
        dress = grammar.dress(language, rng.randint(1, 3), rng)
        return (
            request._replace(text=dress(request.text), family=DRESSED),
            harmless._replace(text=dress(harmless.text), family=DRESSED),
        )
    if language == "en" and len(pools.templates) and rng.random() < TEMPLATE_SHARE:
        text = store[rng.choice(pools.templates)].text.replace(PLACEHOLDER, request.text)
    else:
        text = rng.choice(frames[language, "jailbreak"]).replace("{request}", request.text)
    asked = rng.choice(frames[language, BENIGN]).replace("{request}", harmless.text)
    return request._replace(text=text, family=FRAMED), harmless._replace(text=asked, family=FRAMED)
