"""Near duplicates are found, counted and never left across splits; what is not near stays."""

from random import Random
from string import ascii_lowercase

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaks import near_pairs, shingle_hashes
from tinyguardrail.synthesis.near_duplicates import NearDuplicates, jaccard, shingles, signatures


def invented(number: int, words: int = 30) -> str:
    rng = Random(number)
    return " ".join("".join(rng.choices(ascii_lowercase, k=rng.randint(3, 9))) for _ in range(words))


def altered(text: str, edits: int, seed: int) -> str:
    rng, characters = Random(seed), list(text)
    for place in rng.sample(range(len(characters)), edits):
        characters[place] = rng.choice(ascii_lowercase)
    return "".join(characters)


def search(known: list[str], texts: list[str]) -> list[int | None]:
    index = NearDuplicates(known.__getitem__)
    middle = len(known) // 2
    for part in (range(middle), range(middle, len(known))):  # an index grows in batches
        index.add(np.array(part, np.int32), signatures(known[i] for i in part))
    return list(index.find(texts, signatures(texts)))


def test_every_text_is_found_that_an_exact_join_finds():
    known = [invented(number) for number in range(300)]
    texts = [altered(text, number % 12, number) for number, text in enumerate(known)]
    exact = near_pairs(texts, known)
    assert 50 < len(exact) < 300  # the edits reach from none to far below the bound
    found = search(known, texts)
    assert [(i, j) for i, j in enumerate(found) if j is not None] == exact


@given(st.text(min_size=1, max_size=80), st.text(min_size=1, max_size=80))
def test_jaccard_of_shingles_agrees_with_hashed_ones(left, right):
    a, b = shingle_hashes(left), shingle_hashes(right)
    shared = len(np.intersect1d(a, b))
    assert jaccard(shingles(left), shingles(right)) == pytest.approx(shared / (len(a) + len(b) - shared))


def test_case_and_spacing_do_not_hide_a_copy():
    text = invented(1)
    assert search([text], [text.upper().replace(" ", " \n ")]) == [0]


def test_the_nearest_known_text_is_named():
    text = invented(2)
    known = [altered(text, 3, 1), invented(3), text]
    assert search(known, [text]) == [2]


def test_an_empty_index_finds_nothing():
    index = NearDuplicates(str)
    assert list(index.find(["a text"], signatures(["a text"]))) == [None]


def test_short_texts_and_lone_surrogates_have_signatures():
    assert signatures(["", "a", "\ud800"]).shape == (3, 130)
