import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from english_texts import ENGLISH, authored_texts
from tinyguardrail.normalization.language_model import (
    FLOOR,
    CharacterLanguageModel,
    LanguageModelFileError,
    word_hash,
)


@pytest.fixture(scope="module")
def model() -> CharacterLanguageModel:
    return CharacterLanguageModel.fit(authored_texts())


@pytest.mark.parametrize("text", ENGLISH)
def test_text_is_more_plausible_than_the_same_characters_backwards(model, text):
    assert model.score(text) > model.score(text[::-1]) + 1


@pytest.mark.parametrize(
    ("text", "nonsense"),
    [
        ("Как приготовить суп из свежих овощей?", "Йуа щртлупюиьяб фкх мы ъшэжмо зюбца?"),
        ("¿Cómo puedo aprender a cocinar bien?", "¿Vófh iñxdh diqwpgxw z vhvlpzq yjxp?"),
    ],
)
def test_other_languages_are_told_from_nonsense_too(model, text, nonsense):
    assert model.score(text) > model.score(nonsense) + 1


def test_words_that_belong_together_attract_each_other(model):
    def association(first: str, second: str) -> float:
        hashes = (np.array([word_hash(word)], np.uint64) for word in (first, second))
        return float(model.associations(*hashes)[0])

    assert association("system", "prompt") > association("prompt", "system") + 1


@settings(deadline=None)
@given(st.text())
def test_every_text_has_one_bounded_score_per_character(model, text):
    scores = model.log_probabilities(text)
    assert scores.shape == (len(text),)
    assert np.all((scores >= -FLOOR) & (scores <= 0))


def test_probabilities_of_the_next_character_sum_to_about_one(model):
    # Backing off is at a fixed price, so the sum is near one but not one.
    alphabet = [chr(code) for code in range(32, 127)] + ["\n"]
    for context in ("ignore all ", "Please writ", "the sys"):
        total = sum(np.exp(model.log_probabilities(context + last)[-1]) for last in alphabet)
        assert 0.5 < total < 2.5


def test_a_saved_model_scores_as_before(model, tmp_path):
    model.save(tmp_path / "model.npz")
    loaded = CharacterLanguageModel.load(tmp_path / "model.npz")
    assert [loaded.score(text) for text in ENGLISH] == [model.score(text) for text in ENGLISH]
    assert loaded.words == model.words


def test_fitting_twice_gives_the_same_model():
    texts = authored_texts()[:300]
    one, two = CharacterLanguageModel.fit(texts), CharacterLanguageModel.fit(texts)
    assert [one.score(text) for text in ENGLISH] == [two.score(text) for text in ENGLISH]
    assert one.words == two.words


def test_a_file_that_is_no_model_is_named(tmp_path):
    path = tmp_path / "other.npz"
    with pytest.raises(LanguageModelFileError, match=r"other\.npz"):
        CharacterLanguageModel.load(path)
    np.savez(path, weights=np.zeros(3))
    with pytest.raises(LanguageModelFileError, match=r"other\.npz"):
        CharacterLanguageModel.load(path)


def test_no_text_to_fit_on_is_an_error():
    with pytest.raises(ValueError, match="no text"):
        CharacterLanguageModel.fit(["", "  "])
