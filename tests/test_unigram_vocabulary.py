"""Pruning a unigram vocabulary loses no text: what was spelled before is spelled after."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from tinyguardrail.model.unigram_vocabulary import WORDS, prune_unigram

LETTERS = "abcdé▁中"
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
MUST = len(SPECIAL) + len(LETTERS) + 1  # and <mask>, which the model does not know
UNKNOWN = SPECIAL.index("<unk>")


def make(pieces: list[str], scores: list[float]) -> Tokenizer:
    vocabulary = [(piece, 0.0) for piece in SPECIAL] + list(zip(pieces, scores, strict=True))
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=UNKNOWN))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens([*SPECIAL, "<mask>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


@st.composite
def tokenizers(draw):
    long = draw(st.lists(st.text(LETTERS, min_size=2, max_size=5), unique=True, max_size=30))
    pieces = draw(st.permutations([*LETTERS, *long]))
    scores = st.floats(-20, -1, width=32)
    return make(list(pieces), draw(st.lists(scores, min_size=len(pieces), max_size=len(pieces))))


def unknown(tokenizer: Tokenizer, encoding) -> set[int]:
    """Places of the characters that stand under `<unk>`."""
    number = tokenizer.token_to_id("<unk>")
    spans = [span for span, index in zip(encoding.offsets, encoding.ids, strict=True) if index == number]
    return {place for start, end in spans for place in range(start, end)}


TEXTS = st.text("abcdé中 ?😀", max_size=30)


@settings(max_examples=300, deadline=None)
@given(tokenizers(), st.lists(TEXTS, max_size=5), st.lists(TEXTS, min_size=1, max_size=5), st.data())
def test_every_text_keeps_its_surface_and_its_known_characters(tokenizer, used, others, data):
    size = data.draw(st.integers(MUST, tokenizer.get_vocab_size()))
    table = torch.arange(tokenizer.get_vocab_size(), dtype=torch.float32)[:, None].repeat(1, 3)
    pruned, weights = prune_unigram(tokenizer, {WORDS: table, "other": table}, used, size)
    assert pruned.get_vocab_size() == len(weights[WORDS]) == size
    assert len(weights["other"]) == len(table)
    for piece, number in pruned.get_vocab().items():  # each piece still has the row that was its own
        assert weights[WORDS][number, 0] == tokenizer.token_to_id(piece)
    for text in (*used, *others):
        before, after = tokenizer.encode(text), pruned.encode(text)
        assert "".join(after.tokens) == "".join(before.tokens)
        assert unknown(pruned, after) <= unknown(tokenizer, before)
        assert (after.tokens[0], after.tokens[-1]) == ("<s>", "</s>")


def test_the_pieces_most_used_stay_and_then_the_first():
    pieces = [*LETTERS, "▁ab", "▁cd", "▁bc", "▁da"]
    tokenizer = make(pieces, [-9.0] * len(LETTERS) + [-3.0] * 4)
    table = torch.zeros(tokenizer.get_vocab_size(), 2)
    pruned, _ = prune_unigram(tokenizer, {WORDS: table}, ["bc bc cd", "bc"], MUST + 1)
    assert set(pruned.get_vocab()) == {*SPECIAL, "<mask>", *LETTERS, "▁bc"}
    pruned, _ = prune_unigram(tokenizer, {WORDS: table}, ["bc bc cd", "bc"], MUST + 3)
    assert set(pruned.get_vocab()) == {*SPECIAL, "<mask>", *LETTERS, "▁bc", "▁cd", "▁ab"}


def test_a_piece_stays_that_alone_holds_a_character():
    tokenizer = make([*LETTERS, "xa", "ab"], [-5.0] * (len(LETTERS) + 2))
    pruned, _ = prune_unigram(tokenizer, {WORDS: torch.zeros(MUST + 2, 2)}, ["ab"] * 9, MUST + 1)
    assert set(pruned.get_vocab()) == {*SPECIAL, "<mask>", *LETTERS, "xa"}


def test_bytes_stay_where_the_model_falls_back_on_them():
    byte = [(f"<0x{number:02X}>", -9.0) for number in range(256)]
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), *byte, ("abc", -2.0), ("ab", -2.0)], 0, True))
    pruned, _ = prune_unigram(tokenizer, {WORDS: torch.zeros(259, 2)}, ["ab"], 258)
    assert pruned.encode("ab").tokens == ["ab"]
    assert pruned.encode("é").tokens == ["<0xC3>", "<0xA9>"]


@pytest.mark.parametrize("size", [MUST - 1, MUST + 2])
def test_a_size_that_cannot_be_is_refused(size):
    tokenizer = make([*LETTERS, "ab"], [-5.0] * (len(LETTERS) + 1))
    with pytest.raises(ValueError, match=f"vocabulary size {size} is not between the {MUST} that must stay"):
        prune_unigram(tokenizer, {WORDS: torch.zeros(MUST + 1, 2)}, [], size)


def test_word_pieces_are_no_unigram(tiny_tokenizer):
    with pytest.raises(ValueError, match="the tokenizer is WordPiece, expected Unigram"):
        prune_unigram(tiny_tokenizer, {}, [], 10)
