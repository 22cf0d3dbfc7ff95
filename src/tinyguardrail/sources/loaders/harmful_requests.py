"""Plain harmful requests: what an obfuscation hides. Requests only, never an answer."""

from collections.abc import Iterator, Sequence

from tinyguardrail.data.records import Record
from tinyguardrail.sources.reading import InputFile, rows_of
from tinyguardrail.sources.source import SourceError

LABEL, FAMILY = "jailbreak", "plain_request"
# Topics that a provider's policy restricts, and that are no threat: advice, adult content, campaigning.
HARMLESS_POLICIES = frozenset(
    {
        "Economic Harm",  # mostly how to gamble, lend and sell
        "Financial Advice",
        "Health Consultation",
        "Legal Opinion",
        "Political Lobbying",
        "Pornography",
    }
)

# The same in CatQA. By place, because translations name some of them otherwise: category, then topic or all.
HARMLESS_TOPICS = frozenset({(8, 2), *((10, topic) for topic in range(5))})  # lobbying; financial advice


def advbench(files: Sequence[InputFile]) -> Iterator[Record]:
    """AdvBench (2307.15043): `goal`; `target` is the start of an answer and is not read."""
    return _requests(files, "goal")


def strongreject(files: Sequence[InputFile]) -> Iterator[Record]:
    """StrongREJECT (2402.10260); the pinned copy renames `forbidden_prompt` to `meli_query`."""
    return _requests(files, "forbidden_prompt", "meli_query")


def _requests(files: Sequence[InputFile], *columns: str) -> Iterator[Record]:
    for file, row in rows_of(files):
        yield file.record(row.text(*columns), LABEL, FAMILY)


def harmbench(files: Sequence[InputFile]) -> Iterator[Record]:
    """HarmBench (2402.04249): `Behavior` alone; requests for lyrics and book pages are no threat."""
    for file, row in rows_of(files):
        if row.get("FunctionalCategory") == "copyright":
            file.dropped["copyright"] += 1
        else:
            yield file.record(row.text("Behavior"), LABEL, FAMILY)


def forbidden_questions(files: Sequence[InputFile]) -> Iterator[Record]:
    """Forbidden question set (2308.03825) without the policies that only restrict a topic."""
    for file, row in rows_of(files):
        if row.get("content_policy_name") in HARMLESS_POLICIES:
            file.dropped["restricted_topic"] += 1
        else:
            yield file.record(row.text("question"), LABEL, FAMILY)


def malicious_instruct(files: Sequence[InputFile]) -> Iterator[Record]:
    """MaliciousInstruct (2310.06987): one request per line."""
    for file in files:
        for line in file.text().splitlines():
            yield file.record(line.strip(), LABEL, FAMILY)


def catqa(files: Sequence[InputFile]) -> Iterator[Record]:
    """CatQA (2402.11746): ten questions to each of five topics of eleven categories, in three languages.

    A question and its translations stand at one place of their files and so share a parent.
    """
    for file in files:
        for place, question in _catqa_questions(file):
            if place[:2] in HARMLESS_TOPICS:
                file.dropped["restricted_topic"] += 1
            else:
                parent = f"{file.source}/{'.'.join(map(str, place))}"
                yield file.record(question, LABEL, FAMILY, parent)


def _catqa_questions(file: InputFile) -> Iterator[tuple[tuple[int, int, int], str]]:
    """Each question and its place: category, topic and number, from 0.

    Raises:
        SourceError: the file is not an object of objects of lists of texts.
    """
    for category, (name, topics) in enumerate(file.json().values.items()):
        if not isinstance(topics, dict):
            raise SourceError(f"{file.place}: {name}: expected topics with their questions")
        for topic, (title, questions) in enumerate(topics.items()):
            if not isinstance(questions, list) or not all(isinstance(each, str) for each in questions):
                raise SourceError(f"{file.place}: {name}: {title}: expected a list of questions")
            for number, question in enumerate(questions):
                yield (category, topic, number), question
