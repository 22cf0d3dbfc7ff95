"""Hard negatives differ from their threats in one part alone, and are as long."""

import re
from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_up_rows import GRAMMAR, settings
from tinyguardrail.data.records import parent_of
from tinyguardrail.synthesis.compositions import DOCUMENTS
from tinyguardrail.synthesis.documents import sampled_documents
from tinyguardrail.synthesis.hard_negatives import counterfactual_pairs, nearest_lengths, scarce_lengths
from tinyguardrail.synthesis.scenarios import scenario_pairs
from tinyguardrail.synthesis.slots import fill
from tinyguardrail.synthesis.splits import split_of
from tinyguardrail.synthesis.topics import topic_pairs


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


def test_scenario_counterfactuals_differ_in_their_task_alone_and_neither_part_crosses_splits():
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
