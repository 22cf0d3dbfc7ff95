"""The corpus of the reference model and its training."""

from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from var_moe.reference.corpus import (
    END_OF_TEXT,
    CorpusError,
    Document,
    pack,
    read_documents,
    split_documents,
    train_tokenizer,
)
from var_moe.reference.model import build_model
from var_moe.reference.recipes import RECIPES, Recipe, recipe_of
from var_moe.reference.training import SKIPPED, SecondExpertDropout, learning_rate_factor, train_model

DOCUMENTS = [
    Document(f"package/module{index % 30}", f"name{index}", f"Return the value number {index} of a table.")
    for index in range(300)
]
MODEL = SimpleNamespace(layers=2, hidden_size=16, intermediate_size=24, heads=2, experts=4, max_positions=16)
TRAIN = SimpleNamespace(
    steps=12, batch_size=8, learning_rate=0.02, warmup_fraction=0.1, weight_decay=0.1, clip_norm=1.0,
    balance_weight=0.01, recipe="three_terms", entropy_weight=0.02, token_weight=0.03, drop_second=0.5,
    late_from=0.5, late_drop=0.9, late_whole=0.3,
)  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(DOCUMENTS, vocab_size=300)


def train(tokenizer, seed):
    torch.manual_seed(seed)
    model = build_model(MODEL, tokenizer.get_vocab_size(), tokenizer.token_to_id(END_OF_TEXT))
    losses = train_model(model, pack(DOCUMENTS, tokenizer, 16, 64), TRAIN, seed)
    return model, losses


def test_modules_do_not_cross_splits():
    splits = split_documents(DOCUMENTS, validation_fraction=0.3, test_fraction=0.2)
    groups = {name: {document.group for document in part} for name, part in splits.items()}
    assert not groups["train"] & groups["validation"]
    assert not groups["train"] & groups["test"]
    assert not groups["validation"] & groups["test"]
    assert sum(map(len, splits.values())) == len(DOCUMENTS)


def test_a_text_stands_in_one_split_only():
    repeated = [Document(document.group, document.name, "the same text") for document in DOCUMENTS]
    splits = split_documents(DOCUMENTS + repeated, validation_fraction=0.3, test_fraction=0.2)
    texts = [document.text for part in splits.values() for document in part]
    assert len(texts) == len(set(texts)) == len(DOCUMENTS) + 1


def test_packing_keeps_the_text(tokenizer):
    sequences = pack(DOCUMENTS[:50], tokenizer, length=16, limit=1000)
    expected = "".join(document.text + END_OF_TEXT for document in DOCUMENTS[:50])
    text = tokenizer.decode(sequences.flatten().tolist(), skip_special_tokens=False)
    assert expected.startswith(text)
    assert len(expected) - len(text) < 16 * 20


def test_the_tokenizer_spells_any_text(tokenizer):
    for text in ("naïve café", "数据 \U0001f642", "a\x00b\tc"):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_the_same_documents_give_the_same_tokenizer(tokenizer):
    assert train_tokenizer(DOCUMENTS, vocab_size=300).to_str() == tokenizer.to_str()


def test_the_order_of_the_file_does_not_matter(tmp_path):
    rows = [
        {"package": "p", "module": document.group, "name": document.name, "text": document.text}
        for document in DOCUMENTS
    ]
    found = []
    for name, part in {"forward": rows, "backward": rows[::-1]}.items():
        (tmp_path / name).mkdir()
        pq.write_table(pa.Table.from_pylist(part), tmp_path / name / "docstrings.parquet")
        found.append(read_documents("docstrings", tmp_path / name))
    assert found[0] == found[1]


def test_unusable_text_is_an_error(tmp_path, tokenizer):
    with pytest.raises(CorpusError, match="fetch"):
        read_documents("docstrings", tmp_path)
    with pytest.raises(CorpusError, match="unknown corpus"):
        read_documents("novels", tmp_path)
    with pytest.raises(CorpusError, match="empty"):
        split_documents(DOCUMENTS[:1], validation_fraction=0.3, test_fraction=0.2)
    with pytest.raises(CorpusError, match="do not fill"):
        pack(DOCUMENTS[:1], tokenizer, length=10_000, limit=1)


def test_training_lowers_the_loss_and_repeats_to_the_bit(tokenizer):
    first, losses = train(tokenizer, seed=3)
    second, _ = train(tokenizer, seed=3)
    assert losses[-1] < losses[0] - 0.5
    assert all(map(torch.equal, first.parameters(), second.parameters()))
    hooks = first.model.layers[0].mlp.gate._forward_hooks.values()  # transformers keeps one of its own
    assert not [hook for hook in hooks if hook.__module__.startswith("var_moe")]


def test_seeds_differ(tokenizer):
    first, _ = train(tokenizer, seed=3)
    second, _ = train(tokenizer, seed=4)
    assert not torch.equal(first.lm_head.weight, second.lm_head.weight)


def test_a_sequence_beyond_the_positions_is_an_error(tokenizer):
    model = build_model(MODEL, tokenizer.get_vocab_size(), 0)
    with pytest.raises(ValueError, match="17 tokens exceed the model's 16 positions"):
        train_model(model, pack(DOCUMENTS, tokenizer, 17, 8), TRAIN, 0)


def test_learning_rate_rises_then_falls_to_nothing():
    factors = [learning_rate_factor(step, 100, 0.1) for step in range(101)]
    assert max(factors) == factors[9] == 1
    assert factors[0] == pytest.approx(0.1)
    assert factors[100] == 0


def test_a_recipe_has_its_own_terms_and_no_other():
    assert {name: recipe_of(TRAIN, name) for name in RECIPES} == {
        "plain": Recipe(),
        "token_kl": Recipe(token_weight=0.03),
        "entropy": Recipe(entropy_weight=0.02),
        "random_skip": Recipe(drop_second=0.5),
        "three_terms": Recipe(token_weight=0.03, entropy_weight=0.02, drop_second=0.5),
        "late_ratio_skip": Recipe(drop_second=0.9, skip_rule="ratio", whole=0.3, begins=0.5),
    }


def test_recipes_part_from_plain_training_when_they_begin(tokenizer):
    def losses(recipe):
        torch.manual_seed(0)
        model = build_model(MODEL, tokenizer.get_vocab_size(), tokenizer.token_to_id(END_OF_TEXT))
        settings = SimpleNamespace(**vars(TRAIN) | {"recipe": recipe})
        return train_model(model, pack(DOCUMENTS, tokenizer, 16, 64), settings, 0)

    plain, half = losses("plain"), TRAIN.steps // 2
    found = {recipe: losses(recipe) for recipe in RECIPES if recipe != "plain"}
    assert found["late_ratio_skip"][:half] == plain[:half]  # the same weights and batches
    assert len({tuple(each) for each in (plain, *found.values())}) == len(RECIPES)
    for recipe in ("token_kl", "entropy", "random_skip", "three_terms"):
        assert found[recipe][1:half] != plain[1:half], recipe


def left_out(rule, layer, *, active=True, probability=0.5, whole=0.0, sequences=8, length=40):
    """Which of the tokens lose their second expert, and the ratio of its weight to the first's."""
    generator = torch.Generator().manual_seed(3)
    dropout = SecondExpertDropout(Recipe(drop_second=probability, skip_rule=rule, whole=whole), 4, generator)
    dropout.start(sequences, active=active)
    second = torch.rand(sequences * length, generator=generator) / 2
    weights = torch.stack([1 - second, second], dim=1)
    indices = torch.tensor([[0, 1]]).repeat(len(weights), 1)
    _, alone, chosen = dropout.hook(layer)(None, (), (torch.zeros(len(weights), 4), weights, indices))
    dropped = chosen[:, 1] == 4
    assert torch.equal(alone[dropped], torch.tensor([[1.0, 0.0]]).repeat(int(dropped.sum()), 1))
    assert torch.equal(alone[~dropped], weights[~dropped])
    assert torch.equal(chosen[:, 0], indices[:, 0])
    return dropped.view(sequences, length), (weights[:, 1] / weights[:, 0]).view(sequences, length)


def test_the_ratio_rule_leaves_out_what_weighs_least_in_whole_sequences():
    dropped, ratio = left_out("ratio", layer=1)
    taken = dropped.any(1)
    assert 0 < taken.sum() < len(taken)
    assert ratio[taken][dropped[taken]].max() < ratio[taken][~dropped[taken]].min()
    assert dropped[taken].float().mean() == pytest.approx(SKIPPED, abs=0.05)


def test_a_part_of_the_sequences_does_with_one_expert_everywhere():
    dropped, _ = left_out("ratio", layer=1, probability=1.0, whole=0.5)
    whole = dropped.all(1)
    assert 0 < whole.sum() < len(whole)
    assert (dropped[~whole].float().mean(1) < 1).all()
    assert torch.equal(left_out("ratio", layer=0, probability=1.0, whole=0.5)[0].all(1), whole)


def test_the_ratio_rule_spares_the_first_layer_and_the_random_one_none():
    assert not left_out("ratio", layer=0)[0].any()
    for layer in (0, 1):
        dropped, _ = left_out("random", layer)
        assert dropped.float().mean() == pytest.approx(0.5, abs=0.1)
        assert dropped.any(1).all()  # tokens, not sequences


@pytest.mark.parametrize("rule", ["ratio", "random"])
def test_nothing_is_left_out_before_it_begins(rule):
    assert not left_out(rule, layer=1, active=False, probability=1.0)[0].any()
