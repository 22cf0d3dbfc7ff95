"""Pruning MiniLM's vocabulary: fewer word pieces, and nothing becomes unknown by it."""

import json
from collections import Counter
from collections.abc import Iterable

from tokenizers import Tokenizer

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def choose_pieces(tokenizer: Tokenizer, texts: Iterable[str], size: int) -> list[int]:
    """Ids of the pieces to keep, ascending.

    Kept are the special tokens and every one-character piece (so each word that could be
    spelled still can be), then the pieces that `texts` use most, then the original order,
    which runs from frequent to rare.

    Raises:
        ValueError: `size` is too small for the pieces that must stay.
    """
    vocabulary = tokenizer.get_vocab()
    must = {vocabulary[token] for token in SPECIAL_TOKENS}
    must |= {index for piece, index in vocabulary.items() if len(piece.removeprefix("##")) == 1}
    if len(must) > size:
        raise ValueError(f"model.vocab_size = {size} is below the {len(must)} pieces that must stay")
    counts: Counter[int] = Counter()
    for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False):
        counts.update(encoding.ids)
    by_use = sorted(counts, key=lambda index: (-counts[index], index))
    by_order = sorted(index for piece, index in vocabulary.items() if not piece.startswith("[unused"))
    kept = set(must)
    for index in (*by_use, *by_order):
        if len(kept) >= size:
            break
        kept.add(index)
    return sorted(kept)


def prune_tokenizer(tokenizer: Tokenizer, kept: list[int], longest: int) -> Tokenizer:
    """The same tokenizer with only the pieces `kept`, renumbered in that order.

    BERT's tokenizer turns a run of more than 100 characters without a space, which is what an
    encoded text is, into a single [UNK]. Here a run is first cut into stretches of `longest`
    characters, each an [UNK] of its own: as short, and every character reaches the CNN.
    """
    new_id = {old: new for new, old in enumerate(kept)}
    content = json.loads(tokenizer.to_str())
    vocabulary = content["model"]["vocab"]
    content["model"]["vocab"] = {
        piece: new_id[old]
        for piece, old in sorted(vocabulary.items(), key=lambda item: item[1])
        if old in new_id
    }
    content["added_tokens"] = [
        {**token, "id": new_id[token["id"]]} for token in content["added_tokens"] if token["id"] in new_id
    ]
    for token in content["post_processor"]["special_tokens"].values():
        token["ids"] = [new_id[old] for old in token["ids"]]
    cut = {"type": "Split", "pattern": {"Regex": f".{{{longest}}}"}, "behavior": "Isolated", "invert": False}
    content["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [content["pre_tokenizer"], cut]}
    content["model"]["max_input_chars_per_word"] = longest - 1
    content["truncation"] = content["padding"] = None
    return Tokenizer.from_str(json.dumps(content))
