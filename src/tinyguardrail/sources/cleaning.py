"""One cleaning for all sources, so that no loader keeps what another drops."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator

from tinyguardrail.data.labels import LABELS, OBFUSCATION
from tinyguardrail.data.records import Record
from tinyguardrail.sources.language import detect
from tinyguardrail.sources.source import DETECT, Source, SourceError

PUBLIC_LABELS = tuple(label for label in LABELS if label != OBFUSCATION)  # obfuscation is synthesized


def clean(
    records: Iterable[Record], source: Source, dropped: Counter[str], max_characters: int | None
) -> Iterator[Record]:
    """The rows that stay, with their language and intent; the others are counted by reason in `dropped`.

    Dropped are rows without text (`no_text`), with lone surrogates (`not_unicode`), over
    `max_characters` (`too_long`), and exact copies (`copy`) among rows that are still to be split:
    a published test split stays as published. Control characters stay, because attacks use them.

    Raises:
        SourceError: a label is none of `PUBLIC_LABELS`, or as in `Source.intent_of`.
    """
    seen: set[bytes] = set()
    for record in records:
        if record.label not in PUBLIC_LABELS:
            known = ", ".join(PUBLIC_LABELS)
            raise SourceError(f"source {source.name}: unknown label {record.label!r}; one of {known}")
        reason = _flaw(record.text, max_characters)
        if not reason and not record.split:
            digest = hashlib.blake2b(record.text.encode(), digest_size=16).digest()
            reason = "copy" if digest in seen else None
            seen.add(digest)
        if reason:
            dropped[reason] += 1
        else:
            language = detect(record.text) if record.language == DETECT else record.language
            yield record._replace(language=language, intent=source.intent_of(record))


def _flaw(text: str, max_characters: int | None) -> str | None:
    if not text.strip():
        return "no_text"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "not_unicode"
    return "too_long" if max_characters is not None and len(text) > max_characters else None
