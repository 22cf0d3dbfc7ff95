"""Ways of training a reference model for VAR, and the plain one that knows nothing of it.

Every arm starts from the same weights and reads the same batches. `plain` has the load balancing
that any mixture of experts is trained with. Three arms add one term each of those that the
`reference` has together, the model that the paper measures: a token KL, an entropy penalty, second
experts left out at random. `late_ratio_skip` leaves them out late in training and where they weigh
least, and has no other term.
"""

from __future__ import annotations

from typing import Any

from tinyguardrail.errors import UserError
from var_moe.evaluation import Losses, PresetQuality
from var_moe.perplexity import perplexity
from var_moe.report import SHARES, change_between

PLAIN, LATE, REFERENCE = "plain", "late_ratio_skip", "reference"
TERMS = {"token_kl": "token_weight", "entropy": "entropy_weight", "random_skip": "drop_second"}
ABLATION_ARMS = (PLAIN, *TERMS, LATE, REFERENCE)
PRESET = "balanced"  # whatever the headline preset: choosing that one must train nothing
VALIDITY_BAR = 0.003  # of perplexity with VAR off: the stock router of a model trained so stays valid


def arm_settings(train: Any, ablate: Any, arm: str) -> Any:
    """Training settings (a pydantic model) of one arm.

    Args:
        train: of the reference model.
        ablate: when the late arm begins, and how often it leaves second experts out.

    Raises:
        UserError: the term that an arm is named after has no weight to start with.
    """
    if arm == REFERENCE:
        return train
    own = TERMS.get(arm)
    if own is not None and not getattr(train, own):
        raise UserError(f"var.train.{own} is 0: the arm {arm!r} would be the plain one")
    settings = train.model_copy(update={key: 0.0 for key in TERMS.values() if key != own})
    if arm != LATE:
        return settings
    late = {"drop_second": ablate.late_drop, "skip_rule": "ratio", "aware_from": ablate.late_from}
    return settings.model_copy(update=late)


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
