"""Training samples per second of the guard, beside a classifier of the same pretrained start.

    python benchmarks/training.py --threads 2 --steps 4 --rounds 5

The peers are `transformers`' own BertForSequenceClassification with MiniLM's weights (6 dense layers, one
branch), trained with AdamW, once under bfloat16 autocast and once in fp32; ours is `Trainer._step` with the
settings of `params.yaml`: both branches, all losses, clipping, AdamW. Every arm reads batches of 64 texts of
48 tokens. Arms take turns, a few steps each, and a round's ratio is of that round's rates, so that a
machine that is busy with something else slows all of them alike; medians over rounds are printed, and
"guard = 1" is the rate of an arm where the guard's is one.

Model FLOPs of a step over N texts of T tokens, a multiplication and an addition counted as two:

    3 * N * (2 * P * T + L * 4 * T^2 * D)

P are the weights of matrices that each token meets in the transformer layers, those of 2 experts in each
layer of the deep branch, L the layers (fast and deep) and D their width: attention has two products
of 2 T^2 D each, and a backward pass costs two forward ones. Embeddings, characters, router, classifiers,
losses and the optimizer are not counted. The share is of what a (6144 x 384) x (384 x 1536) product in
bfloat16 reaches in the same rounds.
"""

from __future__ import annotations

from tinyguardrail_common.compute import prepare_process, repeatable

if __name__ == "__main__":
    prepare_process()  # before torch is loaded

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import BertConfig, BertForSequenceClassification
from transformers.utils.logging import set_verbosity_error

from tinyguardrail.model.build import build_guard, feature_extractor
from tinyguardrail.model.features import FeatureExtractor
from tinyguardrail.model.modeling import GuardForSequenceClassification
from tinyguardrail.model.pretrained import pretrained_folder
from tinyguardrail.sources.corpus import read_corpus
from tinyguardrail.training.checkpoint import Checkpoint
from tinyguardrail.training.distributed import Workers
from tinyguardrail.training.examples import Examples
from tinyguardrail.training.trainer import Trainer
from tinyguardrail_paper.settings.params import Params, load_params

ROOT = Path(__file__).parent.parent
TEXTS, TOKENS, INTENTS = 64, 48, 4
BLOCK_SIZE = 384  # of INT8 weights; no step here rounds them
BATCHES = 8  # different ones, gone through again and again
GEMM = (6144, 384, 1536)
GEMM_REPEATS = 20
LEARNING_RATE = 1e-4
WARM_UP = 2  # steps of each arm that are not timed
Step = Callable[[int], object]  # takes the number of the step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=4, help="steps of an arm before the next one's turn")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    repeatable(arguments.threads)
    set_verbosity_error()  # that a classifier of its own is new is no news
    params, corpus = load_params(ROOT / "params.yaml"), read_corpus(ROOT / "data/corpus")
    guard, tokenizer = build_guard(params.model, [record.text for record in corpus], 0)
    examples = fixed_length(feature_extractor(tokenizer, guard.config, TOKENS), [r.text for r in corpus])
    bert = {name: new_bert() for name in ("bert, bf16", "bert, fp32")}
    with TemporaryDirectory() as scratch:
        arms = {"guard, bf16": guard_step(guard, tokenizer, examples, params, Path(scratch))}
        arms |= {name: bert_step(model, name.endswith("bf16")) for name, model in bert.items()}
        rates, gemm = measure(arms, arguments.steps, arguments.rounds)
    flops = {name: bert_flops(model) for name, model in bert.items()} | {"guard, bf16": guard_flops(guard)}
    report(rates, flops, gemm, arguments.threads)


def fixed_length(extractor: FeatureExtractor, texts: list[str]) -> Examples:
    """Windows of exactly `TOKENS` tokens from running text, with intents by chance."""
    windows = extractor.windows([" ".join(texts)])[: TEXTS * BATCHES]
    return Examples(windows, np.random.default_rng(0).integers(INTENTS, size=len(windows)))


def guard_step(
    guard: GuardForSequenceClassification,
    tokenizer: Tokenizer,
    examples: Examples,
    params: Params,
    scratch: Path,
) -> Step:
    """One step of the pipeline's trainer, as in an epoch that neither attacks nor rounds weights."""
    changes = {"batch_size": TEXTS, "precision": "bf16", "accumulation_steps": 1, "report_to": []}
    changes |= {"adversarial_epoch": None, "quantization_aware_epoch": None}
    settings = params.train.model_copy(update=changes)
    extractor = feature_extractor(tokenizer, guard.config, TOKENS)
    alone = Workers(0, 1, torch.device("cpu"))
    resume = Checkpoint(scratch / "resume")
    trainer = Trainer(guard, extractor, settings, 0, resume, alone, scratch, BLOCK_SIZE)

    def step(number: int) -> object:
        rows = np.arange(TEXTS) + number % BATCHES * TEXTS
        return trainer._step(examples, rows, number, total=1000, epoch=0)

    return step


def new_bert() -> BertForSequenceClassification:
    return BertForSequenceClassification.from_pretrained(pretrained_folder(), num_labels=INTENTS).train()


def bert_step(model: BertForSequenceClassification, bfloat16: bool) -> Step:
    """Cross-entropy and AdamW, fused as ours is."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, fused=True)
    random = torch.Generator().manual_seed(0)
    shape = (BATCHES, TEXTS, TOKENS)
    input_ids = torch.randint(1000, model.config.vocab_size, shape, generator=random)
    labels = torch.randint(INTENTS, shape[:2], generator=random)
    attention_mask = torch.ones(shape[1:], dtype=torch.long)

    def step(number: int) -> object:
        batch = number % BATCHES
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = model(input_ids[batch], attention_mask=attention_mask, labels=labels[batch]).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return step


def measure(arms: dict[str, Step], steps: int, rounds: int) -> tuple[dict[str, list[float]], list[float]]:
    """By round: samples per second of every arm, and FLOP per second of the product alone."""
    for step in arms.values():
        for number in range(WARM_UP):
            step(number)
    rates: dict[str, list[float]] = {name: [] for name in arms}
    gemm = []
    for turn in range(rounds):
        gemm.append(gemm_flops_per_second())
        for name, step in arms.items():
            start = time.perf_counter()
            for number in range(turn * steps, (turn + 1) * steps):
                step(number)
            rates[name].append(steps * TEXTS / (time.perf_counter() - start))
    return rates, gemm


def gemm_flops_per_second() -> float:
    rows, inner, columns = GEMM
    left, right = (torch.randn(shape).bfloat16() for shape in ((rows, inner), (inner, columns)))
    left @ right
    start = time.perf_counter()
    for _ in range(GEMM_REPEATS):
        left @ right
    return GEMM_REPEATS * 2 * rows * inner * columns / (time.perf_counter() - start)


def guard_flops(guard: GuardForSequenceClassification) -> float:
    """Of one training sample."""
    config = guard.config
    dense = matrix_weights(guard.fast.layers)
    for layer in guard.deep.layers:
        active = config.num_experts_per_text / config.num_experts
        dense += matrix_weights(layer.attention) + active * matrix_weights(layer.mixture.experts)
    layers = config.fast_layers + config.deep_layers
    return flops_per_sample(dense, layers, config.hidden_size)


def bert_flops(model: BertForSequenceClassification) -> float:
    """Of one training sample."""
    config: BertConfig = model.config
    return flops_per_sample(matrix_weights(model.bert.encoder), config.num_hidden_layers, config.hidden_size)


def matrix_weights(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.ndim == 2)


def flops_per_sample(weights: float, layers: int, width: int) -> float:
    """The formula above for one text."""
    return 3 * (2 * weights * TOKENS + layers * 4 * TOKENS**2 * width)


def report(rates: dict[str, list[float]], flops: dict[str, float], gemm: list[float], threads: int) -> None:
    first, *_ = rates
    peak = f"the product alone {median(gemm) / 1e9:,.0f} GFLOP/s"
    print(f"{threads} threads, {TEXTS} texts of {TOKENS} tokens, {peak}")
    print(f"{'arm':<12} {'samples/s':>10} {'guard = 1':>10} {'GFLOP/sample':>13} {'of product':>11}")
    for name, found in rates.items():
        ratio = median(mine / own for mine, own in zip(found, rates[first], strict=True))
        share = median(own * flops[name] / most for own, most in zip(found, gemm, strict=True))
        print(f"{name:<12} {median(found):>10.1f} {ratio:>10.2f} {flops[name] / 1e9:>13.2f} {share:>11.1%}")


if __name__ == "__main__":
    main()
