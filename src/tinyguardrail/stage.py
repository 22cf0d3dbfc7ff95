"""What every stage script shares: the seed argument, and errors of one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from tinyguardrail.errors import UserError
from tinyguardrail.params import Params, load_params


def run_stage(main: Callable[[Params], None]) -> None:
    """Run a stage that is not repeated per seed."""
    _run(lambda: main(load_params()))


def run_seed_stage(main: Callable[[Params, int], None], description: str | None) -> None:
    """Run a stage for the seed given on the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seed", type=int, required=True, help="one of `seeds` in params.yaml")
    seed = parser.parse_args().seed
    _run(lambda: main(load_params(), seed))


def run_family_stage(
    main: Callable[[Params, str], None], families: Sequence[str], description: str | None
) -> None:
    """Run a stage for the family of attacks given on the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--family", choices=families, required=True, help="what training goes without")
    family = parser.parse_args().family
    _run(lambda: main(load_params(), family))


def run_recipe_stage(
    main: Callable[[Params, int, str], None], recipes: Sequence[str], description: str | None
) -> None:
    """Run a stage for the seed and the way of training given on the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seed", type=int, required=True, help="one of `var.ablate.seeds` in params.yaml")
    parser.add_argument("--recipe", choices=recipes, required=True, help="how the model is trained")
    arguments = parser.parse_args()
    _run(lambda: main(load_params(), arguments.seed, arguments.recipe))


def _run(action: Callable[[], None]) -> None:
    try:
        action()
    except UserError as error:
        sys.exit(f"error: {error}")
