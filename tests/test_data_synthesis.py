"""The splits as a whole: controls beside attacks, parents together, settings kept."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from made_up_rows import GRAMMAR, invented, row, settings
from tinyguardrail.attacks.registry import FAMILIES
from tinyguardrail.data.records import SPLITS, Record, RecordError, parent_of, read_records, write_records
from tinyguardrail.synthesis.splits import SplitError, split_of
from tinyguardrail.synthesis.synthesis import synthesize
from tinyguardrail_paper.settings.params import Params

INTENT_OF_FAMILY = {
    "instruction_override": "injection",
    "plain_request": "harm",
    "composed_indirect": "injection",
    "composed_frame": "jailbreak",  # a harmful request in the frame of a technique
    "composed_request": "harm",  # the same between polite words
    "topic_counterfactual": "harm",
    "scenario_counterfactual": "jailbreak",
}


def authored() -> list[Record]:
    """Texts of invented words, so that no two are near duplicates."""
    kinds = {
        "everyday": "benign",
        "email": "benign",
        "borderline_safety": "benign",
        "instruction_override": "direct_injection",
        "plain_request": "jailbreak",
    }
    return [
        row(text, label, f"{kind}{n}", "", family=kind, intent=INTENT_OF_FAMILY.get(kind, "benign"))
        for kind, label in kinds.items()
        for n in range(60)
        for text in [invented(f"{kind}{n}", 20 if kind == "email" else 9)]
    ]


def passages(path: Path, texts: list[str]) -> None:
    modules = [f"m{i}" for i in range(len(texts))]
    columns = {"package": ["p"] * len(texts), "module": modules, "name": ["n"] * len(texts), "text": texts}
    parquet.write_table(pa.table(columns), path)


@pytest.fixture
def raw(tmp_path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    write_records(folder / "authored.parquet", authored())
    sentence = "Return the password hash of a stored user, ignoring the letter case of the name {}."
    passages(folder / "docstrings.parquet", [sentence.format(invented(f"d{n}", 2)) for n in range(12)])
    passages(
        folder / "code.parquet",
        [f"def {invented(f'c{n}', 1)}(x):\n    " + "return x\n" * 9 for n in range(12)],
    )
    return folder


def made(raw: Path, params: Params, name: str = "splits"):
    folder = raw.parent / name
    folder.mkdir(exist_ok=True)
    card = synthesize(raw, folder, GRAMMAR, params)
    assert not list(folder.parent.glob(".rows*")), "scratch files are left"
    return [record for split in SPLITS for record in read_records(folder / f"{split}.parquet")], card


def test_planted_tasks_of_a_split_stand_in_documents_of_that_split(raw):
    params = settings(compositions__direct_injection=400, hard_negatives__documents=200)
    records, _ = made(raw, params)
    tasks = {task: entry.code for entry in GRAMMAR.planted_tasks for task in entry.planted_tasks}
    found = Counter()
    for record in records:
        if (record.family, record.transform, record.label) == (
            "composed_indirect",
            "none",
            "direct_injection",
        ):
            for task, code in tasks.items():
                if task in record.text and record.parent_id == parent_of("authored", task):
                    assert split_of(parent_of("authored", task), params.data) == record.split
                    found[code] += 1
    assert min(found[True], found[False]) > 3


def test_a_control_of_the_same_language_stands_beside_every_obfuscation(raw):
    records, _ = made(raw, settings())
    counts = Counter(
        (record.split, record.transform, record.label) for record in records if record.transform != "none"
    )
    by_family = Counter()
    for (split, transform, label), number in counts.items():
        assert label in ("benign", "obfuscation")
        assert counts[split, transform, "benign"] == counts[split, transform, "obfuscation"] == number
        family = next(family.name for family in FAMILIES.values() if transform in family.transforms)
        by_family[split, family] += number // 2 if label == "benign" else number - number // 2
    for name, family in FAMILIES.items():
        assert by_family["train", name] == 2 * len(family.transforms)
        assert (by_family["validation", name], by_family["test", name]) == (14, 28)


def test_parents_keep_together_and_obfuscations_keep_the_intent_of_their_parent(raw):
    records, _ = made(raw, settings())
    home, intent = {}, {}
    for record in records:
        assert home.setdefault(record.parent_id, record.split) == record.split
        if record.transform == "none":
            intent.setdefault(record.parent_id, set()).add(record.label == "benign")
    for record in records:
        if record.transform != "none":
            assert (record.label == "benign") in intent[record.parent_id]


def test_every_threat_says_what_it_is_after_in_the_clear_and_hidden(raw):
    records, _ = made(raw, settings())
    plain, seen = {}, Counter()
    for record in records:
        if record.transform == "none" and record.label != "benign":
            if record.family in INTENT_OF_FAMILY:
                assert record.intent == INTENT_OF_FAMILY[record.family]
            seen[record.family] += 1
            plain.setdefault(record.parent_id, set()).add(record.intent)
    assert seen.keys() >= INTENT_OF_FAMILY.keys()
    hidden = [record for record in records if record.label == "obfuscation"]
    assert all(record.intent in plain[record.parent_id] for record in hidden)
    assert {record.intent for record in hidden} >= {"injection", "harm"}


def test_a_dev_source_stands_apart_and_holds_no_test_text(raw):
    def of(name, n, split):
        return row(invented(f"{name}{n}", 12), parent=f"{name}{n}", split=split, source=name)

    test_rows = [of("notinject", n, "test") for n in range(20)]
    copies = [of("ud_pud", n, "dev") for n in range(30)]
    copies.append(test_rows[3]._replace(source="ud_pud", parent_id="own", split="dev"))
    trained_on = of("xquad", 1, "")._replace(text=copies[5].text)
    write_records(raw / "notinject.parquet", test_rows)
    write_records(raw / "ud_pud.parquet", copies)
    write_records(raw / "xquad.parquet", [trained_on])
    names = ["authored", "docstrings", "code", "notinject", "ud_pud", "xquad"]
    records, card = made(raw, settings(data__sources=names))
    dev = [record for record in records if record.split == "dev"]
    assert dev == copies[:30]
    assert trained_on.text not in {record.text for record in records if record.split != "dev"}
    assert card.removed["near a test row", "ud_pud", "notinject"] == 1


def test_compositions_are_made_of_texts_of_their_own_split(raw):
    records, _ = made(raw, settings())
    plain = {
        record.text: record.split for record in records if record.family in ("email", "instruction_override")
    }
    found = 0
    for record in records:
        if record.family == "composed_indirect" and record.transform == "none":
            inside = [split for text, split in plain.items() if text in record.text]
            assert set(inside) <= {record.split}
            found += len(inside)
    assert found


def test_a_source_with_published_test_rows_is_tested_on_those_alone(raw):
    def deepset(n, parent="", split=""):
        return row(
            invented(f"d{n}", 12), "jailbreak", parent or f"d{n}", split, source="deepset", family="injection"
        )

    bench, mate = deepset("bench", "shared", "test"), deepset("mate", "shared")
    write_records(raw / "deepset.parquet", [bench, mate, *(deepset(n) for n in range(80))])
    params = settings(data__sources=["authored", "docstrings", "code", "deepset"])
    records, card = made(raw, params)
    plain = [record for record in records if record.source == "deepset" and record.family == "injection"]
    assert [record.text for record in plain if record.split == "test"] == [bench.text]
    assert len({record.text for record in plain}) == 81
    assert {record.split for record in plain} == {"train", "validation", "test"}
    assert card.removed["parent in a benchmark", "deepset", "deepset"] == 1


def test_synthesis_is_a_function_of_its_seed(raw):
    first, _ = made(raw, settings())
    again, _ = made(raw, settings(), "again")
    other, _ = made(raw, settings(data__split_seed=2), "other")
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("attacks__flipattack", 8_000, r"attacks\.flipattack asks for 2000 rows of flipattack_fwo"),
        ("compositions__direct_injection", 12_000, r"compositions\.direct_injection asks for"),
        (
            "hard_negatives__technical_documentation",
            50,
            r"hard_negatives\.technical_documentation asks for 50",
        ),
        ("hard_negatives__trigger_words", 900_000, r"hard_negatives\.trigger_words asks for"),
        ("hard_negatives__borderline", 90_000, r"hard_negatives\.borderline asks for"),
        ("hard_negatives__topics", 90_000, r"hard_negatives\.topics asks for"),
        ("hard_negatives__scenarios", 90_000, r"hard_negatives\.scenarios asks for"),
        ("hard_negatives__documents", 90_000, r"hard_negatives\.documents asks for"),
    ],
)
def test_asking_for_more_than_there_is_names_the_setting(raw, setting, value, says):
    with pytest.raises(SplitError, match=says):
        made(raw, settings(**{setting: value}))
    assert not list((raw.parent / "splits").glob("*.parquet")), "half-made splits are left"


def test_a_missing_source_is_named(raw):
    (raw / "authored.parquet").unlink()
    with pytest.raises(RecordError, match=r"authored\.parquet: not found; run dvc repro"):
        made(raw, settings())


def test_the_card_counts_what_was_written(raw):
    records, card = made(raw, settings())
    report = {
        name: {"rows": 1, "dropped": {}, "files": {}, "parquet_md5": "m"}
        for name in ("authored", "docstrings", "code")
    }
    content = card.as_json(report, diversity={}, missing={"pint": "on request"})
    assert content["rows"] == len(records)
    assert content["parents"] == len({record.parent_id for record in records})
    for column in ("split", "intent", "label", "source", "family", "transform", "language"):
        assert content[f"by_{column}"] == Counter(getattr(record, column) for record in records)
    assert content["sources"]["authored"]["licence"] == "Apache-2.0"
    assert len(content["sources"]["authored"]["content_sha256"]) == 64
    assert content["not_used"] == {"pint": "on request"}
    assert content["duplicates_removed"] == sum(card.removed.values())
