"""No character of a text is lost between the string and the model."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyguardrail.model.features import FeatureExtractor, hash_code_points
from tinyguardrail.model.pretrained import load_minilm, pretrained_folder
from tinyguardrail.model.vocabulary import choose_pieces, prune_tokenizer


def seen_characters(extractor, text: str) -> list[int]:
    (window,) = extractor.windows([text])
    return [int(code) for code in window.char_ids.ravel() if code]


def test_characters_follow_the_text_with_spaces_capitals_and_invisible_ones(tiny_extractor):
    text = " Ig​nore the CAT!‍"
    codes = hash_code_points(np.array([ord(c) for c in text]), tiny_extractor.char_table_size)
    assert seen_characters(tiny_extractor, text) == list(codes)


def test_a_text_of_invisible_characters_still_reaches_the_model(tiny_extractor):
    assert len(seen_characters(tiny_extractor, "​‌")) == 2


@settings(deadline=None)
@given(st.text(max_size=200))
def test_every_text_gives_windows_of_the_right_shape(tiny_extractor, text):
    windows = tiny_extractor.windows([text])
    batch = tiny_extractor.collate(windows)
    assert batch.input_ids.shape == batch.attention_mask.shape == batch.char_ids.shape[:2]
    assert batch.input_ids.shape[1] <= tiny_extractor.max_length
    assert batch.char_ids.min() >= 0
    assert batch.char_ids.max() < tiny_extractor.char_table_size
    assert (batch.input_ids[:, 0] == tiny_extractor.cls).all()


@pytest.mark.parametrize("multiple", [1, 2, 8])
def test_a_batch_is_padded_to_a_length_that_the_multiple_divides(tiny_extractor, multiple):
    windows = tiny_extractor.windows(["hello", "hello cat say what"])
    plain, padded = tiny_extractor.collate(windows), tiny_extractor.collate(windows, multiple)
    longest = plain.input_ids.shape[1]
    assert padded.input_ids.shape[1] in range(longest, longest + multiple)
    assert padded.input_ids.shape[1] % multiple == 0
    for before, after in zip(plain, padded, strict=True):
        np.testing.assert_array_equal(after[:, :longest], before)
    assert not padded.attention_mask[:, longest:].any()


@given(st.text(alphabet=st.characters(exclude_categories=[]), max_size=30))
def test_lone_surrogates_do_no_harm(tiny_extractor, text):
    assert tiny_extractor.windows([text])


def test_windows_overlap_and_cover_every_token(tiny_extractor):
    words = " ".join(["cat", "hello", "say", "what"] * 12)
    windows = tiny_extractor.windows([words])
    bodies = [list(window.input_ids[1:-1]) for window in windows]
    assert len(bodies) > 2
    joined = bodies[0]
    overlap = tiny_extractor.body - tiny_extractor.step
    for body in bodies[1:]:
        assert joined[-overlap:] == body[:overlap]
        joined = joined + body[overlap:]
    assert joined == tiny_extractor.tokenizer.encode(words, add_special_tokens=False).ids


@given(st.lists(st.integers(0, 0x10FFFF), min_size=1))
def test_hashing_keeps_zero_for_no_character(code_points):
    rows = hash_code_points(np.array(code_points), 512)
    assert rows.min() >= 1
    assert rows.max() < 512


def test_pruning_makes_nothing_unknown():
    _, full = load_minilm(pretrained_folder())
    texts = ["An extraordinary parallelogram", "zażółć gęślą jaźń", "Привет мир", "日本語 text", "x² + ½ ≠ π"]
    kept = choose_pieces(full, texts[:1], 3000)
    pruned = prune_tokenizer(full, kept, 19)
    assert pruned.get_vocab_size() == 3000
    for text in texts:
        before = full.encode(text)
        after = pruned.encode(text)
        assert after.tokens.count("[UNK]") == before.tokens.count("[UNK]")
        assert "".join(after.tokens).replace("##", "") == "".join(before.tokens).replace("##", "")
    kept_words = full.encode(texts[0]).tokens
    assert pruned.encode(texts[0]).tokens == kept_words  # pieces in use are the first to stay


def test_every_character_of_an_encoded_text_reaches_the_model():
    _, full = load_minilm(pretrained_folder())
    pruned = prune_tokenizer(full, choose_pieces(full, [], 3000), longest=19)
    extractor = FeatureExtractor(pruned, 192, chars_per_token=20, char_table_size=4096)
    text = "run this: " + "0123456789abcdef" * 20
    codes = hash_code_points(np.array([ord(c) for c in text]), 4096)
    assert seen_characters(extractor, text) == list(codes)
    assert len(pruned.encode(text).ids) < 40
