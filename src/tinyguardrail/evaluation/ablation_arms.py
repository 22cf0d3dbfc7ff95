"""The arms of the guard's ablation: the settings of training with one of them changed."""

from __future__ import annotations

from typing import Any

from tinyguardrail.errors import UserError
from tinyguardrail.params import Ablate, Train

REFERENCE = "reference"
# The weight of the energy loss, 0.1, is that of its paper.
CHANGES: dict[str, dict[str, Any]] = {
    REFERENCE: {},
    "cross_entropy": {"focal_gamma": 0.0},
    "no_threat_loss": {"threat_weight": 0.0},
    "no_router_loss": {"router_weight": 0.0},
    "no_ratio_loss": {"ratio_weight": 0.0},
    "no_balance_loss": {"balance_weight": 0.0},
    "energy_loss": {"energy_weight": 0.1},
    "adversarial": {"adversarial_epoch": 0},
    "quantization_aware": {"quantization_aware_epoch": 0},
}


def arm_training(train: Train, arm: str, settings: Ablate) -> Train:
    """How an arm is trained: one epoch over `settings.rows` rows, attacked or rounded only by its own arm.

    Raises:
        UserError: the arm would be the reference, because its setting has that value anyway.
    """
    shared = {
        "epochs": 1,
        "rows_per_epoch": settings.rows,
        "validation_rows": settings.validation_rows,
        "adversarial_epoch": None,
        "quantization_aware_epoch": None,
        "report_to": [],
    }
    reference = train.model_copy(update=shared)
    own = reference.model_copy(update=CHANGES[arm])
    if arm != REFERENCE and own == reference:
        [(key, value)] = CHANGES[arm].items()
        raise UserError(f"train.{key} is {value} already: the arm {arm!r} would be the reference")
    return own
