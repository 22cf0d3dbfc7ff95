"""Ways of training a reference model for VAR, by name; `plain` knows nothing of it.

Every recipe has the load balancing that any mixture of experts is trained with. What VAR loses is
the second experts it leaves out and the calls its table answers otherwise than the router would;
a recipe prepares a model for either, or for both. What that does to the model as it came, with VAR
off, is the price, and is measured beside the gain (`stages/var_ablate.py`).
"""

from dataclasses import dataclass
from typing import Literal, get_args

from var_moe.params import RecipeName, VarTrain

RECIPES: tuple[RecipeName, ...] = get_args(RecipeName)


@dataclass(frozen=True)
class Recipe:
    """What is added to language modelling and load balancing."""

    token_weight: float = 0.0  # divergence of the router from its running mean for the same token
    entropy_weight: float = 0.0  # penalty on the router's entropy
    drop_second: float = 0.0  # how often second experts are left out
    skip_rule: Literal["ratio", "random"] = "random"  # where; see `training.SecondExpertDropout`
    whole: float = (
        0.0  # by the rule `ratio`: share of those sequences in which no call keeps its second expert
    )
    begins: float = 0.0  # share of the steps before it begins


def recipe_of(settings: VarTrain, name: RecipeName) -> Recipe:
    """The recipe of a name, with the weights that `var.train` gives to its terms."""
    match name:
        case "plain":
            return Recipe()
        case "token_kl":
            return Recipe(token_weight=settings.token_weight)
        case "entropy":
            return Recipe(entropy_weight=settings.entropy_weight)
        case "random_skip":
            return Recipe(drop_second=settings.drop_second)
        case "three_terms":
            return Recipe(settings.token_weight, settings.entropy_weight, settings.drop_second)
        case "late_ratio_skip":
            return Recipe(
                drop_second=settings.late_drop,
                skip_rule="ratio",
                whole=settings.late_whole,
                begins=settings.late_from,
            )
