"""Pruning a unigram vocabulary: fewer pieces, and nothing becomes unknown by it.

A piece that is cut is spelled by shorter ones. Whatever a text holds is found as long as its characters are
pieces of their own: one that is costs less than an unknown character, so no best path has one in its place.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain, islice
from typing import Any

import torch
from tokenizers import Tokenizer

WORDS = "embeddings.word_embeddings.weight"
BYTE = re.compile(r"<0x[0-9A-F]{2}>")
BATCH = 10_000  # texts encoded at once


def prune_unigram(
    tokenizer: Tokenizer, weights: Mapping[str, torch.Tensor], texts: Iterable[str], size: int
) -> tuple[Tokenizer, dict[str, torch.Tensor]]:
    """The same tokenizer with `size` pieces, and the weights with a row of the word table for each.

    Args:
        weights: by name, with the word table `embeddings.word_embeddings.weight`; left as they are.
        texts: those whose pieces are worth keeping.

    Raises:
        ValueError: the tokenizer is not a unigram one, `size` is above its pieces, or too small for those
            that must stay.
    """
    kept = choose_unigram_pieces(tokenizer, texts, size)
    return _renumber(tokenizer, kept), {**weights, WORDS: weights[WORDS][kept].clone()}


def choose_unigram_pieces(tokenizer: Tokenizer, texts: Iterable[str], size: int) -> list[int]:
    """Ids of the pieces to keep, ascending.

    Kept are the special tokens, every one-character piece, bytes where the model falls back on them, and
    what holds a character that is no piece of its own; then the pieces that `texts` use most, then the
    original order, which runs from frequent to rare.

    Raises:
        ValueError: as `prune_unigram` does.
    """
    content = json.loads(tokenizer.to_str())
    if content["model"]["type"] != "Unigram":
        raise ValueError(f"the tokenizer is {content['model']['type']}, expected Unigram")
    pieces = [piece for piece, _ in content["model"]["vocab"]]
    must, total = _must_stay(content, pieces), tokenizer.get_vocab_size()
    if not len(must) <= size <= total:
        raise ValueError(
            f"vocabulary size {size} is not between the {len(must)} that must stay and all {total}"
        )
    counts: Counter[int] = Counter()
    remaining = iter(texts)
    while batch := list(islice(remaining, BATCH)):
        for encoding in tokenizer.encode_batch(batch, add_special_tokens=False):
            counts.update(encoding.ids)
    by_use = sorted(counts, key=lambda index: (-counts[index], index))
    kept = set(must)
    for index in chain(by_use, range(len(pieces))):
        if len(kept) >= size:
            break
        kept.add(index)
    return sorted(kept)


def _must_stay(content: dict[str, Any], pieces: list[str]) -> set[int]:
    special = {token["id"] for token in content["added_tokens"]} | {content["model"]["unk_id"]}
    own = {piece for piece in pieces if len(piece) == 1}
    if content["model"]["byte_fallback"]:
        must = {index for index, piece in enumerate(pieces) if piece in own or BYTE.fullmatch(piece)}
    else:
        must = {index for index, piece in enumerate(pieces) if piece in own or not own.issuperset(piece)}
    return must | special


def _renumber(tokenizer: Tokenizer, kept: list[int]) -> Tokenizer:
    new_id = {old: new for new, old in enumerate(kept)}
    content = json.loads(tokenizer.to_str())
    model = content["model"]
    model["vocab"] = [model["vocab"][old] for old in kept if old < len(model["vocab"])]
    model["unk_id"] = new_id[model["unk_id"]]
    for token in content["added_tokens"]:
        token["id"] = new_id[token["id"]]
    for token in (content["post_processor"] or {}).get("special_tokens", {}).values():
        token["ids"] = [new_id[old] for old in token["ids"]]
    content["truncation"] = content["padding"] = None
    return Tokenizer.from_str(json.dumps(content))
