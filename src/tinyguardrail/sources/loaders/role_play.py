"""Role play that asks for unsafe text, and role play that does not."""

from collections import Counter
from collections.abc import Iterator, Sequence

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import Record
from tinyguardrail.sources.reading import InputFile, rows_of

# Upstream calls all 200 roles unsafe; two in five are a football coach, a poet, a parent who asks for advice.
# The English texts were read for what they ask a model to write; numbers count from 0 and are the same in
# all files.
UNSAFE = frozenset({
    0, 4, 5, 9, 16, 17, 21, 26, 27, 28, 31, 34, 35, 37, 40, 45, 53, 60, 62, 63, 69, 73, 76, 78, 81, 82, 95,
    103, 107, 115, 120, 121, 122, 126, 128, 137, 141, 143, 144, 146, 148, 149, 160, 169, 173, 177, 178, 183,
    189, 191, 194, 197, 198,
})  # fmt: skip
HARMLESS = frozenset({
    2, 3, 8, 10, 14, 18, 20, 22, 23, 30, 32, 33, 36, 38, 39, 43, 46, 48, 49, 50, 52, 54, 58, 61, 67, 70, 71,
    74, 75, 79, 80, 88, 90, 92, 96, 97, 98, 100, 105, 109, 111, 114, 117, 118, 119, 123, 124, 125, 127, 129,
    130, 131, 132, 133, 135, 136, 138, 139, 142, 145, 150, 151, 153, 154, 155, 161, 163, 164, 165, 170, 179,
    180, 181, 184, 185, 186, 187, 190, 192, 199,
})  # fmt: skip


def xsafety_roleplay(files: Sequence[InputFile]) -> Iterator[Record]:
    """Role-play instructions of XSafety (2310.00905) in ten languages, parallel by number.

    Roles in neither list are unpleasant and ask for little; they are dropped.
    """
    numbers: Counter[str] = Counter()
    for file, row in rows_of(files):
        path = row.text("path")
        number = numbers[path]
        numbers[path] += 1
        if number in UNSAFE or number in HARMLESS:
            label, family = (
                ("jailbreak", "multilingual_role_play")
                if number in UNSAFE
                else (BENIGN, "harmless_role_play")
            )
            record = file.record(row.text("text"), label, family, f"{file.source}/{number}")
            yield record._replace(language=row.text("language"))
        else:
            file.dropped["neither_unsafe_nor_harmless"] += 1
