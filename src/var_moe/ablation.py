"""What each term of VAR-aware training does, alone and together.

Every arm starts from the same weights and reads the same batches. `plain` keeps the load
balancing that any mixture of experts is trained with; the others add terms to it. `all` is
the reference model itself.
"""

from __future__ import annotations

from typing import Any

from tinyguardrail.errors import UserError
from var_moe.evaluation import Losses, PresetQuality
from var_moe.perplexity import perplexity
from var_moe.report import SHARES, change_between

TERMS = {"token_kl": "token_weight", "entropy": "entropy_weight", "random_skip": "drop_second"}
PLAIN, ALL = "plain", "all"
ABLATION_ARMS = (PLAIN, *TERMS, ALL)
PRESET = "balanced"  # whatever the headline preset: choosing that one must train nothing
VALIDITY_BAR = 0.003  # of perplexity with VAR off: the stock router of a model trained so stays valid


def arm_settings(settings: Any, arm: str) -> Any:
    """Training settings (a pydantic model) of one arm: the terms it lacks are zero.

    Raises:
        UserError: the arm is unknown, or the term it is named after has no weight to start with.
    """
    if arm not in ABLATION_ARMS:
        raise UserError(f"unknown arm {arm!r}; known: {', '.join(ABLATION_ARMS)}")
    own = [] if arm == PLAIN else list(TERMS) if arm == ALL else [arm]
    for term in own:
        if not getattr(settings, TERMS[term]):
            raise UserError(f"var.train.{TERMS[term]} is 0: the arm {term!r} would be the plain one")
    return settings.model_copy(update={key: 0.0 for term, key in TERMS.items() if term not in own})


def arm_record(plain: Losses, baseline: Losses, quality: PresetQuality) -> dict[str, Any]:
    """One arm: perplexity with VAR off against the plain arm's, and with VAR on against its own.

    Args:
        plain, baseline: losses with VAR off of the plain arm and of this one.
    """
    off_change, off_interval = change_between(plain, baseline)
    on_change, on_interval = change_between(baseline, quality.var)
    tokens = int(baseline.tokens.sum())
    return {
        "perplexity_off": perplexity(baseline.nll, tokens),
        "off_against_plain": off_change,
        "off_against_plain_ci95": off_interval,
        "router_stays_valid": off_change <= VALIDITY_BAR,
        "perplexity_var": perplexity(quality.var.nll, tokens),
        "perplexity_change": on_change,
        "perplexity_change_ci95": on_interval,
        **{share: quality.stats[share] for share in SHARES},
    }
