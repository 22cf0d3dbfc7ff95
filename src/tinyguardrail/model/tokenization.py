"""The guard's tokenizer as transformers calls one; the features are `FeatureExtractor`'s.

A text longer than a window is cut to its first one, as in training. `Guard` in
`inference/runtime.py` is what reads a long text to its end, window by window.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tokenizers import Tokenizer
from transformers import BatchEncoding, PreTrainedTokenizerFast
from transformers.tokenization_utils_base import PaddingStrategy, TruncationStrategy

from tinyguardrail.model.auto_module import SavedWithAutoModule, in_auto_module
from tinyguardrail.model.configuration import GuardConfig
from tinyguardrail.model.features import FeatureExtractor, Window
from tinyguardrail.model.model_files import ModelError

SPECIAL_TOKENS = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
CHARACTER_SETTINGS = ("chars_per_token", "char_table_size")
NOT_SUPPORTED = (
    "text_pair",
    "is_split_into_words",
    "stride",
    "return_token_type_ids",
    "return_overflowing_tokens",
    "return_special_tokens_mask",
    "return_offsets_mapping",
    "return_length",
)


class GuardTokenizer(SavedWithAutoModule, PreTrainedTokenizerFast):
    """Texts -> input_ids (B, T), attention_mask (B, T) and char_ids (B, T, C).

    `tokenizer_config.json` holds `chars_per_token`, `char_table_size` and, as
    `model_max_length`, the tokens of a window.
    """

    model_input_names = ["input_ids", "attention_mask", "char_ids"]  # noqa: RUF012, transformers' own form
    padding_side = "right"  # positions count from the left
    _auto_map = {"AutoTokenizer": [None, in_auto_module("GuardTokenizer")]}  # noqa: RUF012

    @classmethod
    def of(cls, tokenizer: Tokenizer, config: GuardConfig) -> Self:
        """The tokenizer of a guard, for transformers."""
        return cls(
            tokenizer_object=tokenizer,
            model_max_length=config.max_position_embeddings,
            chars_per_token=config.chars_per_token,
            char_table_size=config.char_table_size,
            **SPECIAL_TOKENS,
        )

    def save_pretrained(self, save_directory: Path | str, **kwargs: Any) -> tuple[str, ...]:
        for name in ("is_local", "local_files_only"):  # of one loading: they would travel with the files
            self.init_kwargs.pop(name, None)
        return super().save_pretrained(save_directory, **kwargs)

    def _encode_plus(
        self,
        text: str | Sequence[str],
        add_special_tokens: bool = True,
        padding_strategy: PaddingStrategy = PaddingStrategy.DO_NOT_PAD,
        truncation_strategy: TruncationStrategy = TruncationStrategy.DO_NOT_TRUNCATE,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_attention_mask: bool | None = None,
        **options: Any,
    ) -> BatchEncoding:
        """What `tokenizer(...)` calls; a text without a list around it gives lists without a batch.

        Raises:
            ValueError: an option that the guard has no use for, or something that is not a text.
        """
        asked = [name for name in NOT_SUPPORTED if options.get(name)]
        if asked or not add_special_tokens:
            raise ValueError(f"{asked or ['add_special_tokens=False']}: the guard reads single, whole texts")
        texts = [text] if isinstance(text, str) else list(text)
        if wrong := {type(each).__name__ for each in texts if not isinstance(each, str)}:
            raise ValueError(f"a text must be a str, found {', '.join(sorted(wrong))}")
        cut = truncation_strategy != TruncationStrategy.DO_NOT_TRUNCATE and max_length is not None
        windows = self._first_windows(texts, min(max_length, self.model_max_length) if cut else None)
        rows = {
            "input_ids": [window.input_ids.tolist() for window in windows],
            "char_ids": [window.char_ids.tolist() for window in windows],
        }
        single = isinstance(text, str) and return_tensors is None
        return self.pad(
            {name: row[0] for name, row in rows.items()} if single else rows,
            padding=padding_strategy,
            max_length=max_length,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side,
            return_attention_mask=return_attention_mask,
            return_tensors=return_tensors,
        )

    def _first_windows(self, texts: Sequence[str], tokens: int | None) -> list[Window]:
        settings = [self.init_kwargs.get(name) for name in CHARACTER_SETTINGS]
        if None in settings:
            path = Path(self.name_or_path) / "tokenizer_config.json"
            raise ModelError(f"{path}: no {' or '.join(CHARACTER_SETTINGS)}; run dvc repro train")
        extractor = FeatureExtractor(self._tokenizer, tokens or self.model_max_length, *settings)
        first = {window.text: window for window in reversed(extractor.windows(texts))}
        return [first[index] for index in range(len(texts))]

    def _pad(
        self, encoded_inputs: dict[str, Any], *, padding_side: str | None = None, **options: Any
    ) -> dict[str, Any]:
        """Pad one text: its characters with zeros where its tokens are padded with [PAD].

        Raises:
            ValueError: on the left, which would move the tokens from their positions.
        """
        if (padding_side or self.padding_side) != "right":
            raise ValueError("padding_side must be 'right': the guard counts positions from the left")
        padded = super()._pad(encoded_inputs, padding_side="right", **options)
        characters = padded.get("char_ids", [])
        missing = len(padded["input_ids"]) - len(characters)
        if characters and missing:
            padded["char_ids"] = characters + [[0] * len(characters[0])] * missing
        return padded
