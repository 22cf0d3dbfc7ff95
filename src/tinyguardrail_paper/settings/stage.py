"""What every stage script shares: its arguments, the settings, and errors of one line."""

import argparse
from collections.abc import Callable
from typing import Any

from tinyguardrail_common.errors import one_line_errors
from tinyguardrail_paper.settings.params import load_params

SEED = {"type": int, "required": True, "help": "one of the seeds in params.yaml"}


def run_stage(main: Callable[..., None], description: str | None, **arguments: dict[str, Any]) -> None:
    """Call `main` with the parameters, then the values given on the command line.

    Args:
        arguments: name -> how argparse takes `--name`, in the order in which `main` takes them.
    """
    parser = argparse.ArgumentParser(description=description)
    for name, options in arguments.items():
        parser.add_argument(f"--{name}", **options)
    values = vars(parser.parse_args())
    with one_line_errors():
        main(load_params(), *(values[name] for name in arguments))
