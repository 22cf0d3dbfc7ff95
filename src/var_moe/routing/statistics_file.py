"""`routing_stats.parquet`: one row per layer and token or context, and back again exactly.

Columns for a reader: layer, token, previous (null where the row is a token's), frequency,
entropy (nats), confidence, experts and weights (strongest first). Columns to rebuild
`RoutingStatistics` from: probability_sum, weight_sum and first_choice, one value per expert.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from tinyguardrail_common.errors import UserError
from tinyguardrail_common.files import atomic_file
from var_moe.routing.statistics import RoutingStatistics

_KEY = b"var_routing_statistics"
_FORMAT = 1
_SMOOTHING = 2.0  # pseudo-calls of the estimate behind confidence, experts and weights
_ROWS_AT_ONCE = 8192  # of the statistics; bounds what is built beside them while writing


def save_statistics(statistics: RoutingStatistics, path: Path | str) -> None:
    """Write the seen rows; a file of that name is replaced at once or not at all."""
    probability, weight = statistics.smoothed(_SMOOTHING)
    entropy = statistics.entropy()

    def table(rows: Tensor) -> pa.Table:
        columns = _columns(statistics, rows, probability[rows], weight[rows], entropy[rows])
        return pa.table(columns, metadata=_metadata(statistics))

    seen = statistics.frequency.nonzero().flatten()
    schema = table(seen[:0]).schema
    with (
        atomic_file(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        for rows in seen.split(_ROWS_AT_ONCE):
            writer.write_table(table(rows))


def load_statistics(path: Path | str) -> RoutingStatistics:
    """Read statistics back as they were saved.

    Raises:
        UserError: the file is missing, damaged, of another kind, or lacks layers of a row.
    """
    if not Path(path).is_file():
        raise UserError(f"{path} is missing: collect routing statistics first")
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        about = json.loads((table.schema.metadata or {}).get(_KEY, b"null"))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{path} is not a readable parquet file: {str(error).splitlines()[0]}") from None
    if about is None or about["format"] != _FORMAT:
        raise UserError(f"{path} holds no routing statistics of format {_FORMAT}")
    return _rebuild(Path(path), table, about)


def check_tokenizer(statistics: RoutingStatistics, tokenizer_sha256: str) -> None:
    """Make sure that statistics were collected with this tokenizer.

    Raises:
        UserError: they were not, or it is not known.
    """
    if statistics.tokenizer_sha256 != tokenizer_sha256:
        known = statistics.tokenizer_sha256[:12] or "unknown"
        raise UserError(
            f"the statistics are of tokenizer {known}, this one is {tokenizer_sha256[:12]}: "
            "collect them again"
        )


def _metadata(statistics: RoutingStatistics) -> dict[bytes, str]:
    layers, experts = statistics.probability_sum.shape[1:]
    about = {
        "format": _FORMAT,
        "model_sha256": statistics.model_sha256,
        "tokenizer_sha256": statistics.tokenizer_sha256,
        "vocab_size": statistics.vocab_size,
        "layers": layers,
        "num_experts": experts,
        "top_k": statistics.top_k,
        "normalised": statistics.normalized,
        "smoothing": _SMOOTHING,
        "rows": int((statistics.frequency > 0).sum()),
    }
    return {_KEY: json.dumps(about)}


def _columns(
    statistics: RoutingStatistics, rows: Tensor, probability: Tensor, weight: Tensor, entropy: Tensor
) -> dict[str, pa.Array]:
    """Columns of (n,) rows in all L layers, the layers of a row beside each other."""
    layers, vocab = entropy.shape[1], statistics.vocab_size
    top = weight.topk(statistics.top_k, dim=-1)
    context = rows >= vocab
    key = torch.zeros_like(rows)
    key[context] = statistics.context_keys[rows[context] - vocab]

    def per_layer(values: Tensor) -> np.ndarray:
        return values.repeat_interleave(layers).numpy()

    return {
        "layer": pa.array(np.tile(np.arange(layers, dtype=np.int32), len(rows))),
        "token": pa.array(per_layer(torch.where(context, key % vocab, rows))),
        "previous": pa.array(per_layer(key // vocab), mask=per_layer(~context)),
        "frequency": pa.array(per_layer(statistics.frequency[rows])),
        "entropy": pa.array(entropy.double().flatten().numpy()),
        "confidence": pa.array(probability.amax(-1).flatten().numpy()),
        "experts": _lists(top.indices.int()),
        "weights": _lists(top.values),
        "probability_sum": _lists(statistics.probability_sum[rows]),
        "weight_sum": _lists(statistics.weight_sum[rows]),
        "first_choice": _lists(statistics.first_choice[rows]),
    }


def _lists(values: Tensor) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(values.contiguous().flatten().numpy(), values.shape[-1])


def _rebuild(path: Path, table: pa.Table, about: dict[str, Any]) -> RoutingStatistics:
    layers, experts, vocab = about["layers"], about["num_experts"], about["vocab_size"]
    layer = table["layer"].to_numpy().reshape(-1)
    if table.num_rows != about["rows"] * layers or (layer != np.tile(np.arange(layers), about["rows"])).any():
        raise UserError(f"{path}: some rows lack one of the {layers} layers: collect the statistics again")
    token = torch.tensor(table["token"].to_numpy()[::layers])
    previous = torch.tensor(table["previous"].fill_null(-1).to_numpy()[::layers])
    context = previous >= 0
    context_keys = (previous * vocab + token)[context]
    index = token.clone()  # contexts follow the vocabulary in the order they were written in
    index[context] = vocab + torch.arange(int(context.sum()))
    shape = (vocab + len(context_keys), layers, experts)

    def sums(name: str, dtype: torch.dtype) -> Tensor:
        values = table[name].combine_chunks().flatten().to_numpy().reshape(-1, layers, experts)
        return torch.zeros(shape, dtype=dtype).index_copy_(0, index, torch.tensor(values))

    frequency = torch.zeros(shape[0], dtype=torch.int64)
    frequency[index] = torch.tensor(table["frequency"].to_numpy()[::layers])
    return RoutingStatistics(
        vocab_size=vocab,
        top_k=about["top_k"],
        model_sha256=about["model_sha256"],
        context_keys=context_keys,
        frequency=frequency,
        probability_sum=sums("probability_sum", torch.float64),
        weight_sum=sums("weight_sum", torch.float64),
        first_choice=sums("first_choice", torch.int64),
        normalized=about["normalised"],
        tokenizer_sha256=about["tokenizer_sha256"],
    )
