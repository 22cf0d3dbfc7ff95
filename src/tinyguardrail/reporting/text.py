"""How numbers are written: one rule per kind of metric, for tables, prose and figures alike."""

from __future__ import annotations

from collections.abc import Sequence

from tinyguardrail.evaluation.summary import Summary

MISSING = "not measured"
MINUS = "\u2212"
GAP = "_gap_to_"  # in the name of a metric that is the routed guard's less another's

BANNERS = {
    "root": "root scale: small authored corpus, not the public-data numbers",
    "full": "full scale: public data sets",
    "smoke": "smoke scale: a test of the pipeline, the numbers mean nothing",
}

FAMILY_NAMES = {
    "flipattack": "FlipAttack",
    "flipattack_fwo": "flip word order",
    "flipattack_fcw": "flip characters in word",
    "flipattack_fcs": "flip characters in sentence",
    "flipattack_fmm": "fool model mode",
    "codechameleon": "CodeChameleon",
    "encoding": "encodings",
    "encoding_hex": "hexadecimal",
    "encoding_url": "URL",
    "encoding_html": "HTML entities",
    "encoding_rot13": "ROT13",
    "homoglyph": "homoglyphs",
    "character_injection": "character injection",
    "character_injection_zero_width": "zero-width characters",
    "character_injection_unicode_tags": "Unicode tags",
    "composition": "two families in a row",
    "composition_flip_base64": "flip, then base64",
    "composition_rot13_base64": "ROT13, then base64",
    "composition_reverse_words_leet": "word order, then leetspeak",
    "composition_homoglyph_zero_width": "homoglyphs, then zero width",
    "typoglycemia": "typoglycemia",
    "notinject": "NotInject",
    "notinject_291": "NotInject, unseen by PIGuard",
    "wildguard_benign": "WildGuardTest, benign",
    "bipia": "BIPIA, planted instructions",
    "bipia_clean": "BIPIA, clean or honest",
    "toxic_chat": "ToxicChat",
    "jbb_pair": "JailbreakBench, PAIR",
    "jbb_gcg": "JailbreakBench, GCG",
    "jbb_jbc": "JailbreakBench, JBC",
    "jbb_dsn": "JailbreakBench, DSN",
    "jbb_random_search": "JailbreakBench, random search",
    "jbb_methods": "JailbreakBench, five methods",
    "jbb_behaviors": "JailbreakBench, goals and twins",
    "advbench": "AdvBench",
    "strongreject": "StrongREJECT",
    "malicious_instruct": "MaliciousInstruct",
    "token_kl": "token KL",
    "late_ratio_skip": "skip by ratio, late",
    "guard": "routed",
    "guard_always_fast": "always fast",
    "guard_always_deep": "always deep",
    "guard_random": "random choice",
    "guard_early_exit": "early exit",
    "guard_early_exit_equal_share": "early exit, equal share",
    "guard_oracle": "oracle (bound)",
}


def readable(name: str) -> str:
    """`trigger_words_common` as a person would write it."""
    return FAMILY_NAMES.get(name, name.replace("_", " "))


def family_of(name: str, names: Sequence[str]) -> str | None:
    """The family among `names` that `name` is a variant of; None where it is a family itself."""
    return next((family for family in names if name.startswith(f"{family}_")), None)


def variant_title(name: str, names: Sequence[str]) -> str:
    """`readable`, marked with a dash and without its family where that stands in `names` too."""
    family = family_of(name, names)
    if family is None:
        return readable(name)
    return f"\u2013 {FAMILY_NAMES.get(name) or readable(name.removeprefix(f'{family}_'))}"


def number(value: float | None, kind: str) -> str:
    """`value` as text.

    `kind` is one of: percent, points (of a percentage), percent_change, ms, ratio, factor,
    perplexity, setting, count, megabytes, millions, difference (of two probabilities), probability,
    p_value, small.
    """
    if value is None:
        return MISSING
    if kind == "p_value":
        return "< 0.001" if value < 0.001 else f"{value:.3f}"
    written = _FORMATS[kind](value)
    return written.replace("-", MINUS) if kind != "small" else written


def interval(bounds: tuple[float, float] | list[float] | None, kind: str) -> str:
    """`[low, high]`, or nothing where there is no interval; points are named by the number before it."""
    low, high = (number(bound, kind).removesuffix(" points") for bound in bounds or (None, None))
    return f"[{low}, {high}]" if bounds else ""


def with_interval(summary: Summary | None, kind: str) -> str:
    """Mean and interval; the interval is left out where there is none."""
    if summary is None:
        return MISSING
    return f"{number(summary.mean, kind)} {interval(summary.interval, kind)}".strip()


def kind_of(metric: str) -> str:
    """The way a metric of `results/metrics.json` is written, by its name."""
    if GAP in metric:
        return "difference" if metric.startswith(("auc", "macro_f1")) else "points"
    for ending, kind in _KINDS:
        if metric.endswith(ending):
            return kind
    return "percent"


_FORMATS = {
    "percent": lambda v: f"{100 * v:.1f}%",
    "points": lambda v: f"{100 * v:+.2f} points",
    "percent_change": lambda v: f"{100 * v:+.2f}%",
    "ms": lambda v: f"{v:.1f} ms",
    "ratio": lambda v: f"{v:.2f}x",
    "factor": lambda v: f"{v:.2f}",
    "perplexity": lambda v: f"{v:.2f}",
    "setting": lambda v: f"{v:g}",
    "count": lambda v: f"{v:,.0f}",
    "megabytes": lambda v: f"{v:.1f} MB",
    "millions": lambda v: f"{v / 1e6:.1f} million",
    "difference": lambda v: f"{v:+.4f}",
    "probability": lambda v: f"{v:.3f}",
    "small": lambda v: f"{v:.1e}",
}

_KINDS = (
    ("_ms", "ms"),
    ("_mb", "megabytes"),
    ("max_abs_difference", "small"),
    ("parameters", "millions"),
    ("recall_change", "points"),
    ("rate_change", "points"),
    ("queries", "count"),
    ("perplexity_change", "percent_change"),
    ("perplexity_baseline", "perplexity"),
    ("perplexity_var", "perplexity"),
    ("perplexity_skip", "perplexity"),
    ("tokens_per_second", "count"),
    ("speedup_vs_best_stock", "ratio"),
    ("speedup_vs_own_kernel", "ratio"),
    ("experts_per_call", "factor"),
    ("temperature", "factor"),
    ("block_threshold", "probability"),
    ("auc", "probability"),
    ("macro_f1", "probability"),
    ("macro_f1_fp32", "probability"),
    ("macro_f1_int8", "probability"),
    ("ece", "probability"),
)
