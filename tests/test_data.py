"""Rows keep their schema, parents stay in one split, copies do not cross, controls stand beside attacks."""

import re
from collections import Counter
from pathlib import Path
from random import Random
from string import ascii_lowercase

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from tinyguardrail.attacks.registry import FAMILIES
from tinyguardrail.data.compositions import DOCUMENTS
from tinyguardrail.data.docstrings import DocstringError, mine_code, mine_package
from tinyguardrail.data.documents import sampled_documents
from tinyguardrail.data.grammar import Grammar
from tinyguardrail.data.hard_negatives import counterfactual_pairs, nearest_lengths, scarce_lengths
from tinyguardrail.data.records import (
    Record,
    RecordError,
    RecordWriter,
    parent_of,
    read_records,
    write_records,
)
from tinyguardrail.data.scenarios import scenario_pairs
from tinyguardrail.data.slots import fill
from tinyguardrail.data.splits import LeakFilter, SplitError, assign_split, check_counts, split_of
from tinyguardrail.data.store import RecordStore
from tinyguardrail.data.synthesis import synthesize
from tinyguardrail.data.topics import topic_pairs
from tinyguardrail.params import Params, load_params

ROOT = Path(__file__).parent.parent
GRAMMAR = Grammar(ROOT / "data/corpus/grammar")
LEAK = "Write a long letter to my landlord about the broken heating in the kitchen and the bathroom"


def row(text="some text", label="benign", parent="p", split="train", **changes):
    fields = {"source": "authored", "family": "f", "transform": "none", "language": "en", **changes}
    return Record(text, label, parent_id=parent, split=split, **fields)


def invented(seed: str, words: int) -> str:
    rng = Random(seed)
    return " ".join("".join(rng.choices(ascii_lowercase, k=rng.randint(4, 9))) for _ in range(words))


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
        row(invented(f"{kind}{n}", 20 if kind == "email" else 9), label, f"{kind}{n}", "", family=kind)
        for kind, label in kinds.items()
        for n in range(60)
    ]


def settings(**changed) -> Params:
    content = load_params(ROOT / "params.yaml").model_dump()
    content["data"] |= {"validation_fraction": 0.25, "test_fraction": 0.25}
    content["hard_negatives"] |= {
        "trigger_words": 8,
        "documentation_share": 0.25,
        "technical_documentation": 2,
        "code": 2,
        "borderline": 4,
        "topics": 8,
        "scenarios": 8,
        "documents": 12,
    }
    content["compositions"] |= {"direct_injection": 8, "jailbreak": 8, "english_share": 1.0}
    families = {name: 2 * len(family.transforms) for name, family in FAMILIES.items()}
    content["attacks"] |= families | {"validation_rows": 14, "test_rows": 28, "max_characters": 200}
    for key, value in changed.items():
        section, name = key.split("__")
        content[section][name] = value
    return Params.model_validate(content)


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
    return [
        record
        for split in ("train", "validation", "test")
        for record in read_records(folder / f"{split}.parquet")
    ], card


# ---- records ---------------------------------------------------------------------------------


def test_records_survive_parquet(tmp_path):
    records = [row("a\nb ‮ 漢字"), row("second", label="jailbreak")] * 5000  # more than one batch
    write_records(tmp_path / "r.parquet", records)
    assert read_records(tmp_path / "r.parquet") == records


@pytest.mark.parametrize(
    ("bad", "says"), [(row(label="nice"), "row 1: unknown label 'nice'"), (row(" "), "no text")]
)
def test_a_bad_row_is_named_and_nothing_is_written(tmp_path, bad, says):
    with pytest.raises(RecordError, match=says):
        write_records(tmp_path / "r.parquet", [row(), bad])
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_is_interrupted_leaves_the_old_file(tmp_path):
    write_records(tmp_path / "r.parquet", [row("old")])
    with pytest.raises(KeyboardInterrupt), RecordWriter(tmp_path / "r.parquet") as writer:
        writer.write(row("new"))
        raise KeyboardInterrupt
    assert [record.text for record in read_records(tmp_path / "r.parquet")] == ["old"]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_damaged_parquet_file_is_named(tmp_path):
    (tmp_path / "r.parquet").write_bytes(b"not parquet")
    with pytest.raises(RecordError, match=r"r\.parquet: not a parquet file"):
        read_records(tmp_path / "r.parquet")
    with pytest.raises(RecordError, match=r"gone\.parquet: not found"):
        read_records(tmp_path / "gone.parquet")


# ---- splits ----------------------------------------------------------------------------------


@given(st.text(min_size=1), st.integers(0, 9))
def test_a_parent_has_one_split_whatever_else_exists(parent, seed):
    assert assign_split(parent, seed, 0.2, 0.2) == assign_split(parent, seed, 0.2, 0.2)


def test_splits_have_the_shares_asked_for():
    counts = Counter(assign_split(f"parent{i}", 3, 0.1, 0.3) for i in range(20000))
    assert counts["validation"] / 20000 == pytest.approx(0.1, abs=0.01)
    assert counts["test"] / 20000 == pytest.approx(0.3, abs=0.01)


def filtered(tmp_path, **by_split):
    """Row numbers that stay, by split, and what was counted; benchmark rows under `fixed`."""
    store, kept = RecordStore(tmp_path / "rows"), {}
    leaks = LeakFilter(store)
    for split, rows in by_split.items():
        numbers = store.extend(rows)
        where = "test" if split == "fixed" else split
        kept[split] = [store[n].text for n in leaks.keep(numbers, where, fixed=split == "fixed")]
    return kept, dict(leaks.removed)


def test_a_planted_leak_is_removed_from_training_and_counted_by_its_sources(tmp_path):
    kept, removed = filtered(
        tmp_path,
        test=[row(LEAK, source="bench")],
        validation=[row(LEAK + " too"), row(invented("a", 9))],
        train=[
            row(LEAK + "!", source="web"),
            row(invented("b", 9)),
            row(invented("a", 9) + " x", source="web"),
        ],
    )
    assert kept["test"] == [LEAK]
    assert kept["validation"] == [invented("a", 9)]
    assert kept["train"] == [invented("b", 9)]
    assert removed == {
        ("near a test row", "authored", "bench"): 1,
        ("near a test row", "web", "bench"): 1,
        ("near a validation row", "web", "authored"): 1,
    }


def test_copies_within_a_split_fall_but_near_duplicates_stay(tmp_path):
    kept, removed = filtered(tmp_path, train=[row(LEAK), row(LEAK.upper()), row(LEAK + " now")])
    assert kept["train"] == [LEAK, LEAK + " now"]
    assert removed == {("copy in its split", "authored", "authored"): 1}


def test_a_benchmark_stays_as_published_and_outranks_everything(tmp_path):
    kept, removed = filtered(
        tmp_path, fixed=[row(LEAK), row(LEAK)], test=[row(LEAK)], train=[row(LEAK + ".")]
    )
    assert kept["fixed"] == [LEAK, LEAK]
    assert kept["test"] == kept["train"] == []
    assert sum(removed.values()) == 2


def test_a_split_cannot_be_filtered_after_one_that_it_outranks(tmp_path):
    with pytest.raises(SplitError, match="rows of test came after rows of train"):
        filtered(tmp_path, train=[row(LEAK)], test=[row(LEAK)])


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_without_threats_is_an_error_that_names_it(split):
    counts = Counter(
        {(s, label): 5 for s in ("train", "validation", "test") for label in ("benign", "jailbreak")}
    )
    check_counts(counts)
    del counts[split, "jailbreak"]
    with pytest.raises(SplitError, match=f"split {split} has 5 rows, 0 of them threats"):
        check_counts(counts)


# ---- hard negatives --------------------------------------------------------------------------


def test_counterfactual_pairs_differ_in_their_object_alone():
    rows = list(counterfactual_pairs(GRAMMAR, 4000, seed=3))
    assert len(rows) == 8000
    frames = {frame.frame: frame for frame in GRAMMAR.counterfactuals}
    parents = {}
    for harmless, hostile in zip(rows[::2], rows[1::2], strict=True):
        assert (harmless.label, harmless.parent_id, harmless.language) == (
            "benign",
            hostile.parent_id,
            hostile.language,
        )
        assert hostile.label in ("jailbreak", "direct_injection")
        assert parents.setdefault(harmless.parent_id, hostile.label) == hostile.label
        fits = [
            frame
            for frame in frames.values()
            if frame.language == harmless.language
            and any(frame.fill(each) in harmless.text for each in frame.harmless)
            and any(frame.fill(each) in hostile.text for each in frame.hostile)
        ]
        assert fits, (harmless.text, hostile.text)
    assert len({row.text for row in rows[::2]}) == 4000


def test_topic_pairs_share_a_topic_and_neither_frames_nor_topics_cross_splits():
    data = settings().data
    rows = list(topic_pairs(GRAMMAR, 400, data))
    assert len(rows) == 800
    topics = [topic for entry in GRAMMAR.topics for topic in entry.topics]
    forms = {topic: topic.model_dump().values() for topic in topics}
    homes, lengths = {}, {"benign": [], "jailbreak": []}
    for asked, hostile in zip(rows[::2], rows[1::2], strict=True):
        assert (asked.family, asked.label) == ("borderline_topics", "benign")
        assert (hostile.family, hostile.label) == ("topic_counterfactual", "jailbreak")
        split = split_of(asked.parent_id, data)
        assert split_of(hostile.parent_id, data) == split
        shared = [
            topic
            for topic, words in forms.items()
            if all(any(word in row.text for word in words) for row in (asked, hostile))
        ]
        assert {split_of(parent_of("authored", topic.noun), data) for topic in shared} == {split}
        for row in (asked, hostile):
            assert homes.setdefault(row.parent_id, (split, row.label)) == (split, row.label)
            lengths[row.label].append(len(row.text))
    assert {split for split, _ in homes.values()} == {"train", "validation", "test"}
    assert len({row.text for row in rows}) == 800
    assert np.median(lengths["benign"]) == pytest.approx(np.median(lengths["jailbreak"]), rel=0.1)


def test_scenario_twins_differ_in_their_task_alone_and_neither_part_crosses_splits():
    data = settings().data
    rows = list(scenario_pairs(GRAMMAR, 400, data))
    tasks = {
        label: [task for entry in GRAMMAR.scenario_tasks if entry.label == label for task in entry.tasks]
        for label in ("benign", "jailbreak")
    }
    homes = {}
    for harmless, hostile in zip(rows[::2], rows[1::2], strict=True):
        assert (harmless.label, hostile.label) == ("benign", "jailbreak")
        assert harmless.parent_id == hostile.parent_id
        split = split_of(harmless.parent_id, data)
        bare = set()
        for row in (harmless, hostile):
            task = max((each for each in tasks[row.label] if each in row.text), key=len)
            assert homes.setdefault(task, split) == split
            bare.add(row.text.replace(task, ""))
            assert 30 <= len(row.text) <= 1300
            assert not {"{", "}"} & set(row.text)
        assert len(bare) == 1
    assert len({row.text for row in rows[::2]}) == 400
    assert set(homes.values()) == {"train", "validation", "test"}


def test_documents_are_distinct_whole_and_of_many_kinds():
    rows = list(sampled_documents(GRAMMAR, 400, seed=3))
    assert len({row.text for row in rows}) == 400
    assert {row.label for row in rows} == {"benign"}
    kinds = Counter(row.family for row in rows)
    assert kinds.keys() <= set(DOCUMENTS)
    assert min(kinds[kind] for kind in ("email", "table", "forum_answer", "tool_result", "web_page")) >= 10
    for row in rows:
        assert not re.search(r"<<\w|\w>>", row.text), row.text
    inside = [len(row.text) in range(80, 1500) for row in rows]
    assert np.mean(inside) > 0.9, "most can carry what compositions plant"


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


def test_stamps_of_a_document_rise_within_a_day():
    stamps = fill(" ".join(["<<stamp>>"] * 9), {}, (0, 2020, 5), Random(1)).split()
    assert stamps == sorted(stamps)
    assert len({stamp[:10] for stamp in stamps}) == 1


def test_a_name_stays_the_same_within_a_document():
    values = {"name": ["Ada", "Bo"]}
    for seed in range(9):
        text = fill("<<name>> <<name2>> <<name>> <<code:A#>>", values, (0, 2020, 5), Random(seed))
        first, second, again, code = text.split()
        assert first == again != second
        assert re.fullmatch(r"A\d", code)


@given(st.lists(st.integers(60, 3900), min_size=1, max_size=60), st.integers(0, 5), st.integers(1, 200))
def test_scarce_lengths_stand_where_threats_do(threats, seed, wanted):
    lengths = scarce_lengths(np.array(threats), np.zeros(0, int), wanted, Random(seed))
    assert len(lengths) == wanted
    edges = np.geomspace(60, 4000, 25)
    bins = set(np.digitize(threats, edges))
    assert all(bins & {int(np.digitize(n + d, edges)) for d in (-0.5, 0, 0.5)} for n in lengths)


def test_lengths_that_benign_text_has_already_are_not_added_to():
    threats = np.array([100] * 500 + [1000] * 500)
    benign = np.array([100] * 900)
    lengths = np.array(scarce_lengths(threats, benign, 400, Random(0)))
    assert (lengths > 500).mean() > 0.9


@given(st.lists(st.integers(0, 300), min_size=1, max_size=30), st.data())
def test_nearest_lengths_are_nearest_and_no_text_is_used_twice(sizes, data):
    texts = [f"{number:03}".ljust(size + 3, "x") for number, size in enumerate(sizes)]
    wanted = data.draw(st.lists(st.integers(0, 320), max_size=len(texts)))
    left = list(texts)
    for length, text in zip(wanted, nearest_lengths(texts, wanted), strict=True):
        assert abs(len(text) - length) == min(abs(len(each) - length) for each in left)
        left.remove(text)


# ---- the whole -------------------------------------------------------------------------------


def test_a_control_of_the_same_language_stands_beside_every_disguise(raw):
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


def test_parents_keep_together_and_disguises_keep_the_intent_of_their_parent(raw):
    records, _ = made(raw, settings())
    home, intent = {}, {}
    for record in records:
        assert home.setdefault(record.parent_id, record.split) == record.split
        if record.transform == "none":
            intent.setdefault(record.parent_id, set()).add(record.label == "benign")
    for record in records:
        if record.transform != "none":
            assert (record.label == "benign") in intent[record.parent_id]


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
    content = card.as_json(report, variety={}, missing={"pint": "on request"})
    assert content["rows"] == len(records)
    assert content["parents"] == len({record.parent_id for record in records})
    for column in ("split", "label", "source", "family", "transform", "language"):
        assert content[f"by_{column}"] == Counter(getattr(record, column) for record in records)
    assert content["sources"]["authored"]["licence"] == "Apache-2.0"
    assert len(content["sources"]["authored"]["content_sha256"]) == 64
    assert content["not_used"] == {"pint": "on request"}
    assert content["duplicates_removed"] == sum(card.removed.values())


# ---- mined text ------------------------------------------------------------------------------


def test_docstrings_and_code_come_from_installed_source_files():
    mined, code = mine_package("typer"), mine_code("typer")
    assert any(docstring.name for docstring in mined)
    assert mined == mine_package("typer")
    assert any(each.text.startswith("def ") for each in code)
    first_lines = {(each.module, each.name): each.text.splitlines()[0] for each in mined}
    documented = [each for each in code if (each.module, each.name) in first_lines]
    assert documented
    assert not any(first_lines[each.module, each.name] in each.text for each in documented)


@pytest.mark.parametrize("mine", [mine_package, mine_code])
def test_a_package_that_cannot_be_mined_is_named(mine, tmp_path, monkeypatch):
    with pytest.raises(DocstringError, match="'no_such_package' is not installed"):
        mine("no_such_package")
    (tmp_path / "broken_package").mkdir()
    (tmp_path / "broken_package/__init__.py").write_text("def (:\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DocstringError, match=r"broken_package/__init__\.py is not Python \(line 1"):
        mine("broken_package")
