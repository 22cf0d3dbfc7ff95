"""Shortcuts are seen where they are planted and nowhere else; diversity figures mean what they say."""

from random import Random

import numpy as np
import pytest

from leaks import near_pairs
from tinyguardrail.data.records import Record
from tinyguardrail.synthesis.controls import shortcut_controls
from tinyguardrail.synthesis.diversity import corpus_diversity, effective_topics, nearest_similarities


def rows(number: int, seed: int, **planted) -> list[Record]:
    """Random texts; `planted` gives for a column the value of benign rows and that of threats."""
    rng = Random(seed)
    made = []
    for _ in range(number):
        threat = rng.random() < 0.5
        length = rng.randint(*planted["length"][threat]) if "length" in planted else rng.randint(10, 90)
        letters = planted["letters"][threat] if "letters" in planted else "abcdefgh"
        language = planted["language"][threat] if "language" in planted else rng.choice(["en", "de"])
        source = planted["source"][threat] if "source" in planted else rng.choice(["a", "b"])
        text = "".join(rng.choices(letters, k=length))
        made.append(Record(text, "jailbreak" if threat else "benign", source, "f", "none", "p", language))
    return made


def controls(**planted) -> dict[str, float]:
    found = shortcut_controls({"train": rows(1500, 1, **planted), "validation": rows(1500, 2, **planted)})
    return {name: value for name, value in found["untransformed"].items() if name.endswith("_auc")}


def test_without_a_shortcut_every_control_is_at_chance():
    assert controls() == {name: pytest.approx(0.5, abs=0.06) for name in controls()}


@pytest.mark.parametrize(
    ("planted", "name"),
    [
        ({"length": ((10, 30), (40, 90))}, "length_auc"),
        ({"language": ("en", "de")}, "language_auc"),
        ({"source": ("a", "b")}, "source_auc"),
        ({"letters": ("abcd", "efgh")}, "bag_of_characters_auc"),
    ],
)
def test_a_planted_shortcut_is_seen_by_its_control_alone(planted, name):
    found = controls(**planted)
    assert found.pop(name) > 0.99
    others = {
        key: value for key, value in found.items() if key != "bag_of_characters_auc" or name != "length_auc"
    }
    assert all(value == pytest.approx(0.5, abs=0.07) for value in others.values())


def test_length_is_seen_even_where_its_mean_is_equal():
    """Threats both shorter and longer than benign texts: a straight line would miss it."""
    benign = [Record("x" * 50, "benign", "a", "f", "none", "p", "en")] * 200
    threats = [Record("x" * n, "jailbreak", "a", "f", "none", "p", "en") for n in (20, 80) * 100]
    found = shortcut_controls({"train": benign + threats, "validation": benign + threats})
    assert found["all"]["length_auc"] > 0.99


def test_a_part_with_one_class_is_left_out():
    one = [Record("text", "benign", "a", "f", "none", "p", "en")] * 3
    assert shortcut_controls({"train": one, "validation": one}) == {}


def test_nearest_similarity_agrees_with_an_exact_join():
    rng = Random(0)
    texts = [
        " ".join(rng.choices(["one", "two", "three", "four", "five", "six", "seven"], k=9))
        for _ in range(150)
    ]
    found = nearest_similarities(texts)
    near = {i for i, j in near_pairs(texts, texts, 0.6) if i != j}
    assert near
    assert {int(i) for i in np.flatnonzero(found >= 0.6)} == near


def test_diversity_of_a_repetitive_corpus_is_low_and_of_a_varied_one_high():
    same = [
        Record(f"write a poem about my cat {i}", "benign", "a", "k", "none", "p", "en") for i in range(30)
    ]
    rng = Random(1)
    words = ["".join(rng.choices("abcdefghij", k=6)) for _ in range(3000)]
    varied = [
        Record(" ".join(rng.sample(words, 8)), "benign", "a", "k", "none", "p", "en") for _ in range(30)
    ]
    low, high = corpus_diversity(same), corpus_diversity(varied)
    assert low["distinct_2_grams"] < 0.3 < 0.9 < high["distinct_2_grams"]
    assert low["nearest_over_0.8"] > 0.9 > 0.1 > high["nearest_over_0.8"]
    assert low["most_common_opening_share"] == 1


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_effective_topics_counts_topics():
    rng = Random(2)
    words = ["".join(rng.choices("abcdefghij", k=6)) for _ in range(3000)]
    texts = [" ".join(rng.sample(words, 8)) for _ in range(360)]
    assert effective_topics(texts[:12] * 30) == 12
    assert effective_topics(texts) > 50
