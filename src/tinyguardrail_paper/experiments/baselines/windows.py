"""Texts cut into windows as the guard reads them, in the word pieces of another encoder."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from tokenizers import Encoding, Tokenizer

from tinyguardrail.model.features import window_spans

OVERLAP = 0.25  # share of a window that the next one repeats, as `FeatureExtractor` has it


class Window(NamedTuple):
    """One stretch of a text."""

    input_ids: np.ndarray  # (T,) int64 word pieces between [CLS] and [SEP]
    piece: str  # the same as characters, for what reads no word pieces
    text: int  # index of the text it comes from


class WordPieceWindows:
    """Takes the place of the guard's `FeatureExtractor`: the same windows, without its characters.

    Args:
        tokenizer: of a BERT, without truncation and padding.
        max_length: tokens of one window, [CLS] and [SEP] included.
    """

    def __init__(self, tokenizer: Tokenizer, max_length: int):
        self.tokenizer = tokenizer
        self.body = max_length - 2
        self.step = max(1, self.body - int(self.body * OVERLAP))
        self.cls, self.sep, self.pad = map(tokenizer.token_to_id, ("[CLS]", "[SEP]", "[PAD]"))

    def windows(self, texts: Sequence[str]) -> list[Window]:
        """All windows of all texts, in order; an empty text still has one."""
        encodings = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        pairs = enumerate(zip(texts, encodings, strict=True))
        return [window for index, pair in pairs for window in self._windows_of(*pair, index)]

    def _windows_of(self, text: str, encoding: Encoding, index: int) -> Iterator[Window]:
        ids = np.array(encoding.ids, dtype=np.int64)
        ends = np.maximum.accumulate([0, *(end for _, end in encoding.offsets)])
        ends[-1] = len(text)  # what follows the last token belongs to it
        for start, stop in window_spans(len(ids), self.body, self.step):
            input_ids = np.concatenate(([self.cls], ids[start:stop], [self.sep]))
            yield Window(input_ids, text[ends[start] : ends[stop]], index)

    def collate(self, windows: Sequence[Window], multiple: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """(B, T) ids padded to the next length that `multiple` divides, and their mask, 1 = token."""
        length = max(len(window.input_ids) for window in windows)
        length += -length % multiple
        input_ids = np.full((len(windows), length), self.pad, dtype=np.int64)
        attention_mask = np.zeros_like(input_ids)
        for row, window in enumerate(windows):
            input_ids[row, : len(window.input_ids)] = window.input_ids
            attention_mask[row, : len(window.input_ids)] = 1
        return input_ids, attention_mask
