"""From text to the arrays that the guard reads; needs no torch, so the runtime shares it.

A text becomes one or more windows. Each token carries, beside its word piece, the
characters of the original text from the end of the previous token to its own end, so
capitals, accents, spacing, invisible characters and scripts that the word pieces cannot
spell all reach the model. What follows the last token goes to [SEP].
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer

DIRECT_CODE_POINTS = 256  # Latin-1 has rows of its own, everything else is hashed
HASH_MULTIPLIER = 2654435761  # Knuth's multiplicative hash, 2^32 / golden ratio


class Window(NamedTuple):
    """One stretch of a text. T = tokens of the window, C = characters per token."""

    input_ids: np.ndarray  # (T,) int64
    char_ids: np.ndarray  # (T, C) int64, 0 = no character
    text: int  # index of the text it comes from


class Batch(NamedTuple):
    """Padded windows. B = windows, T = longest window, C = characters per token."""

    input_ids: np.ndarray  # (B, T) int64
    attention_mask: np.ndarray  # (B, T) int64, 1 = token
    char_ids: np.ndarray  # (B, T, C) int64


def hash_code_points(code_points: np.ndarray, table_size: int) -> np.ndarray:
    """Rows of the character table; 0 is kept for "no character"."""
    direct = code_points + 1
    free = table_size - DIRECT_CODE_POINTS - 1
    hashed = (code_points.astype(np.uint64) * HASH_MULTIPLIER % 2**32) % free + DIRECT_CODE_POINTS + 1
    return np.where(code_points < DIRECT_CODE_POINTS, direct, hashed.astype(np.int64))


class FeatureExtractor:
    """Turns texts into windows and windows into padded batches.

    Args:
        tokenizer: the guard's pruned word-piece tokenizer.
        max_length: tokens of one window, [CLS] and [SEP] included.
        chars_per_token, char_table_size: as in `GuardConfig`.
        overlap: share of a window that the next one repeats.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        max_length: int,
        chars_per_token: int,
        char_table_size: int,
        overlap: float = 0.25,
    ):
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.chars_per_token = chars_per_token
        self.char_table_size = char_table_size
        self.body = max_length - 2
        self.step = max(1, self.body - int(self.body * overlap))
        self.cls, self.sep, self.pad = (_token_id(tokenizer, token) for token in ("[CLS]", "[SEP]", "[PAD]"))

    def windows(self, texts: Sequence[str]) -> list[Window]:
        """All windows of all texts, in order; an empty text still has one."""
        clean = [_without_lone_surrogates(text) for text in texts]
        encodings = self.tokenizer.encode_batch(clean, add_special_tokens=False)
        found: list[Window] = []
        for index, (text, encoding) in enumerate(zip(clean, encodings, strict=True)):
            found.extend(self._windows_of(text, encoding, index))
        return found

    def _windows_of(self, text: str, encoding, index: int) -> list[Window]:
        ids = np.array(encoding.ids, dtype=np.int64)
        ends = np.array([end for _, end in encoding.offsets], dtype=np.int64)
        chars = self._characters(text, ends)  # (tokens + 1, C); the last row is the text's tail
        found = []
        for start, stop in window_spans(len(ids), self.body, self.step):
            tail = chars[-1:] if stop == len(ids) else np.zeros_like(chars[-1:])
            found.append(
                Window(
                    np.concatenate(([self.cls], ids[start:stop], [self.sep])),
                    np.concatenate((np.zeros_like(chars[-1:]), chars[start:stop], tail)),
                    index,
                )
            )
        return found

    def _characters(self, text: str, ends: np.ndarray) -> np.ndarray:
        code_points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32).astype(np.int64)
        hashed = hash_code_points(code_points, self.char_table_size)
        padded = np.concatenate((hashed, np.zeros(self.chars_per_token, dtype=np.int64)))
        ends = np.maximum.accumulate(np.concatenate((ends, [len(code_points)])))
        starts = np.concatenate(([0], ends[:-1]))
        offsets = np.arange(self.chars_per_token)
        inside = offsets < (ends - starts)[:, None]
        positions = np.minimum(starts[:, None] + offsets, len(padded) - 1)
        return np.where(inside, padded[positions], 0)

    def collate(self, windows: Sequence[Window], multiple: int = 1) -> Batch:
        """Pad windows to the longest of them, or on to the next length that `multiple` divides."""
        length = max(len(window.input_ids) for window in windows)
        length += -length % multiple
        input_ids = np.full((len(windows), length), self.pad, dtype=np.int64)
        attention_mask = np.zeros((len(windows), length), dtype=np.int64)
        char_ids = np.zeros((len(windows), length, self.chars_per_token), dtype=np.int64)
        for row, window in enumerate(windows):
            tokens = len(window.input_ids)
            input_ids[row, :tokens] = window.input_ids
            attention_mask[row, :tokens] = 1
            char_ids[row, :tokens] = window.char_ids
        return Batch(input_ids, attention_mask, char_ids)


def window_spans(tokens: int, body: int, step: int) -> Iterator[tuple[int, int]]:
    """First token of each window and the one after its last; a text without tokens has an empty one.

    Args:
        body: tokens of a window.
        step: from the start of one to that of the next.
    """
    for start in range(0, max(tokens, 1), step):
        yield start, min(start + body, tokens)
        if start + body >= tokens:
            return


def _token_id(tokenizer: Tokenizer, token: str) -> int:
    found = tokenizer.token_to_id(token)
    if found is None:
        raise ValueError(f"the tokenizer has no {token}; use the tokenizer.json saved with the model")
    return found


def _without_lone_surrogates(text: str) -> str:
    """Half of a surrogate pair is no character; it becomes U+FFFD, as in UTF-8 decoders."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
