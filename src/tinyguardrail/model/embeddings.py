"""Character-aware embeddings: pruned word pieces, positions, and a multi-scale CNN over characters."""

import torch
from torch import nn
from torch.nn import functional

from tinyguardrail.model.configuration import GuardConfig


class CharacterCNN(nn.Module):
    """One vector per token from its characters, at several widths (after Kim et al. 2016, 1508.06615)."""

    def __init__(self, config: GuardConfig):
        super().__init__()
        self.table = nn.Embedding(config.char_table_size, config.char_dim, padding_idx=0)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(config.char_dim, config.char_filters, width) for width in config.char_kernel_sizes
        )
        self.project = nn.Linear(config.char_filters * len(config.char_kernel_sizes), config.hidden_size)

    def forward(self, char_ids: torch.Tensor) -> torch.Tensor:
        """(N, C) rows of the character table -> (N, D)."""
        characters = self.table(char_ids).transpose(1, 2)  # (N, E, C)
        pooled = [
            functional.relu(convolution(functional.pad(characters, (0, width - 1)))).amax(-1)  # (N, F)
            for convolution in self.convolutions
            for width in convolution.kernel_size
        ]
        return self.project(torch.cat(pooled, dim=-1))


class CharacterAwareEmbeddings(nn.Module):
    """Word pieces and positions, with the character vector gated into each token."""

    def __init__(self, config: GuardConfig):
        super().__init__()
        self.words = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=0)
        self.positions = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.characters = CharacterCNN(config)
        self.gate = nn.Linear(2 * config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, input_ids: torch.Tensor, char_ids: torch.Tensor) -> torch.Tensor:
        """input_ids (B, T), char_ids (B, T, C) -> (B, T, D)."""
        words = self.words(input_ids)
        characters = self._character_vectors(char_ids)
        gate = torch.sigmoid(self.gate(torch.cat((words, characters), dim=-1)))
        positions = self.positions.weight[: input_ids.shape[1]]
        return self.dropout(self.norm(words + positions + gate * characters))

    def _character_vectors(self, char_ids: torch.Tensor) -> torch.Tensor:
        flat = char_ids.flatten(0, 1)  # (B*T, C)
        if self.training:  # most tokens of a batch repeat: convolve each spelling once
            unique, inverse = torch.unique(flat, dim=0, return_inverse=True)
            vectors = functional.embedding(inverse, self.characters(unique))
        else:
            vectors = self.characters(flat)
        return vectors.view(*char_ids.shape[:2], -1)
