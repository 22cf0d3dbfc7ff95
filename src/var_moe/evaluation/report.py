"""What `var_eval` writes, the same on every run: quality, shares of calls, losses by group of documents."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tinyguardrail_common.files import atomic_file
from tinyguardrail_common.statistics.non_inferiority import change_with_interval
from var_moe.evaluation.perplexity import perplexity
from var_moe.evaluation.quality import Losses, PresetQuality

# Of the intervals that go with a single model. They are no settings, because changing one would
# measure, or train, every model again; reports over seeds have intervals by `statistics`.
BOOTSTRAP_SAMPLES, BOOTSTRAP_SEED = 2000, 7
SHARES = ("learned_share", "cached_share", "fast_share", "experts_per_call")


def quality_report(
    baseline: Losses, presets: dict[str, PresetQuality], headline: str, second: list[float]
) -> dict[str, Any]:
    """The content of `results/var/seed*.json`: the headline preset's fields, then every preset's.

    Args:
        second: weight of the stock router's second expert, by layer; see `second_weights`.
    """
    tokens = int(baseline.tokens.sum())
    found = {name: preset_record(baseline, quality) for name, quality in presets.items()}
    return {
        "tokens": tokens,
        "groups": len(baseline.groups),
        "perplexity_baseline": perplexity(baseline.nll, tokens),
        "second_weight": sum(second) / len(second),
        "second_weight_by_layer": second,
        **found[headline],
        "presets": found,
    }


def preset_record(baseline: Losses, quality: PresetQuality) -> dict[str, Any]:
    """Perplexities with their change and its 95% interval, shares of calls, and the table's identity."""
    record = _arm("var", "", baseline, quality.var)
    if quality.skip is not None:
        record |= _arm("skip", "skip_", baseline, quality.skip)
        record["skip_experts_per_call"] = quality.skip_experts_per_call
    table = quality.wrapper.table
    return {
        **record,
        **{share: quality.stats[share] for share in SHARES},
        "layers": quality.stats["layers"],
        "table_sha256": table.sha256(),
        "thresholds": {
            "confidence": float(table.confidence_threshold),
            "second_to_first_weight": [float(ratio) for ratio in table.ratio_thresholds],
        },
    }


def _arm(name: str, prefix: str, baseline: Losses, losses: Losses) -> dict[str, Any]:
    change, interval = change_with_interval(
        baseline.tokens, baseline.nll, losses.nll, BOOTSTRAP_SAMPLES, BOOTSTRAP_SEED
    )
    return {
        f"perplexity_{name}": perplexity(losses.nll, int(losses.tokens.sum())),
        f"{prefix}perplexity_change": change,
        f"{prefix}perplexity_change_ci95": list(interval),
    }


def write_scores(path: Path, baseline: Losses, presets: dict[str, PresetQuality]) -> None:
    """One row per group: tokens, and summed nats of the baseline and of each preset's arms."""
    columns = {"group": baseline.groups, "tokens": baseline.tokens, "nll_baseline": baseline.nll}
    for name, quality in presets.items():
        columns[f"nll_var_{name}"] = quality.var.nll
        if quality.skip is not None:
            columns[f"nll_skip_{name}"] = quality.skip.nll
    with atomic_file(path) as temporary:
        pq.write_table(pa.table(columns), temporary)
