"""Writes the gradients of one training batch of a small guard; run alone or by torchrun."""

import os
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from conftest import make_guard, make_tokenizer
from test_training import LABELS, SETTINGS, TEXTS
from tinyguardrail.model.build import feature_extractor
from tinyguardrail.training.checkpoint import Checkpoint
from tinyguardrail.training.distributed import workers
from tinyguardrail.training.examples import LabelledTexts
from tinyguardrail.training.trainer import Trainer

torch.use_deterministic_algorithms(True)
tokenizer = make_tokenizer()
rows = np.arange(int(os.environ["BATCH"]))
with workers() as team:
    guard = make_guard(tokenizer, dropout=0.0)
    extractor = feature_extractor(tokenizer, guard.config)
    checkpoint = Checkpoint(Path("unused"))
    trainer = Trainer(guard, extractor, SETTINGS, 0, checkpoint, team, Path("unused"), 32)
    texts = LabelledTexts(TEXTS, np.array(LABELS), [""] * len(TEXTS), benign=0)
    guard.train()
    trainer._backward(texts.examples(extractor, range(len(TEXTS)), [0]), rows, 1.0, 0)
    if team.first:
        found = {name: value.grad for name, value in guard.named_parameters() if value.grad is not None}
        save_file(found, sys.argv[1])
