"""Milliseconds of a text and training rows per second of each pretrained encoder, on one thread.

    python benchmarks/encoders.py --rounds 5

Forward: one text of 64 or 256 tokens. Training: a forward and a backward pass, without an optimizer's step,
over 32 rows of 64 tokens. Both in fp32 and under bfloat16 autocast. Times are the processor's, not the
clock's, so that waiting for other processes does not count, and encoders take turns, so that what these do
to the caches slows all alike; medians over rounds are printed.
"""

from __future__ import annotations

from tinyguardrail_common.compute import prepare_process, quiet_transformers

if __name__ == "__main__":
    prepare_process()  # before torch is loaded

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import torch
from transformers import PreTrainedModel

from tinyguardrail.model.encoders import ENCODERS, load_encoder

LENGTHS = (64, 256)
TRAINING_ROWS, TRAINING_TOKENS = 32, 64
FORWARD_REPEATS = 5  # in a round


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cache", type=Path, help="folder of fetched encoders, if not the user's")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    quiet_transformers()
    models = {name: load_encoder(name, arguments.cache)[0] for name in ENCODERS}
    arms = {(name, *arm): run for name, model in models.items() for arm, run in arms_of(model)}
    seconds: dict[tuple, list[float]] = {key: [] for key in arms}
    for number in range(arguments.rounds + 1):
        for key, run in arms.items():
            start = time.process_time()
            run()
            if number:  # the first round warms up
                seconds[key].append(time.process_time() - start)
    report({key: median(values) for key, values in seconds.items()})


def arms_of(model: PreTrainedModel) -> Iterator[tuple[tuple[str, str], Callable[[], None]]]:
    """What is timed of a model: name of the work, precision, and the work."""
    for precision in ("fp32", "bf16"):
        for tokens in LENGTHS:
            yield (f"{tokens} tokens", precision), forward(model, ids(model, 1, tokens), precision)
        batch = ids(model, TRAINING_ROWS, TRAINING_TOKENS)
        yield ("training", precision), training(model, batch, precision)


def ids(model: PreTrainedModel, rows: int, tokens: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(5, model.config.vocab_size, (rows, tokens), generator=generator)


def autocast(precision: str) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")


def forward(model: PreTrainedModel, batch: torch.Tensor, precision: str) -> Callable[[], None]:
    def run() -> None:
        with torch.inference_mode(), autocast(precision):
            for _ in range(FORWARD_REPEATS):
                model.eval()(batch)

    return run


def training(model: PreTrainedModel, batch: torch.Tensor, precision: str) -> Callable[[], None]:
    def run() -> None:
        with autocast(precision):
            states = model.train()(batch).last_hidden_state
        states.mean(1).square().sum().backward()
        model.zero_grad(set_to_none=True)

    return run


def report(seconds: dict[tuple, float]) -> None:
    works = [(f"{tokens} tokens", precision) for precision in ("fp32", "bf16") for tokens in LENGTHS]
    print(f"{'encoder':26}" + "".join(f"{work}, {precision:>4} ms  " for work, precision in works), end="")
    print("training rows/s fp32  bf16")
    for name in dict.fromkeys(key[0] for key in seconds):
        times = [1000 * seconds[name, *work] / FORWARD_REPEATS for work in works]
        rates = [TRAINING_ROWS / seconds[name, "training", precision] for precision in ("fp32", "bf16")]
        print(f"{name:26}" + "".join(f"{value:16.1f}  " for value in times), end=" ")
        print("  ".join(f"{value:12.1f}" for value in rates))


if __name__ == "__main__":
    main()
