"""Benign texts kept as files of public repositories: prompts, system prompts, coding rules, documentation."""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import Record
from tinyguardrail.sources.attack_patterns import attack_pattern, without_attacks
from tinyguardrail.sources.language import DEFAULT, LANGUAGES, UNKNOWN, detect
from tinyguardrail.sources.reading import InputFile, rows_of

ENGLISH = "en"  # the locale of a system prompt as it was handed in, before its translation
ENTRY_DIGITS = len("LLM01")  # a file's name begins with the entry's number, whatever the language


def flowgpt_benign(files: Sequence[InputFile]) -> Iterator[Record]:
    """Prompts that people shared; what attacks a model's rules or asks for weapons is dropped by pattern."""
    prompts = (file.record(row.text("text"), BENIGN, "community_prompt") for file, row in rows_of(files))
    return without_attacks(prompts, files[0].dropped)


def lobe_agents(files: Sequence[InputFile]) -> Iterator[Record]:
    """System prompts in 18 languages; the agent is the parent.

    An agent whose English text holds an attack pattern is dropped in all its languages.
    """
    for file in files:
        rows = list(file.rows())
        attacks = {
            row.text("agent")
            for row in rows
            if row.text("locale") == ENGLISH and attack_pattern(row.text("text"))
        }
        for row in rows:
            agent, text = row.text("agent"), row.text("text")
            if agent in attacks:
                file.dropped["looks_like_an_attack"] += 1
            else:
                record = file.record(text, BENIGN, "system_prompt", f"{file.source}/{agent}")
                yield record._replace(language=_language(row.text("locale"), text))


def cursorrules(files: Sequence[InputFile]) -> Iterator[Record]:
    """Standing instructions for coding assistants, all of them: none may be blocked."""
    for file, row in rows_of(files):
        yield file.record(row.text("text"), BENIGN, "coding_rules")


def owasp_top10_docs(files: Sequence[InputFile]) -> Iterator[Record]:
    """Paragraphs about attacks; an entry of the list is the parent in all languages.

    Paragraph numbers would tie a translation closer, but half of the translations split theirs otherwise.
    """
    for file, row in rows_of(files):
        entry = PurePosixPath(row.text("path")).name[:ENTRY_DIGITS]
        yield file.record(row.text("text"), BENIGN, "security_documentation", f"{file.source}/{entry}")


def _language(locale: str, text: str) -> str:
    """Language of a text under a locale: one in 25 was left in English.

    Scripts alone would call Bulgarian Russian and Persian Arabic.
    """
    found = detect(text)
    return found if found == DEFAULT or locale.partition("-")[0] in LANGUAGES else UNKNOWN
