"""Stage `figures`: thresholds, statistics, tables, figures and the paper, from scores alone."""

import sys

from tinyguardrail.evaluation.evaluate import evaluate
from tinyguardrail.evaluation.inputs import InputError
from tinyguardrail.params import ParamsError, load_params
from tinyguardrail.reporting.paper import PaperError
from tinyguardrail.reporting.report import CollapseError, write_report


def main() -> None:
    params = load_params()
    write_report(evaluate(params), params)


if __name__ == "__main__":
    try:
        main()
    except (ParamsError, InputError, CollapseError, PaperError) as error:
        sys.exit(f"figures: {error}")
