"""Thresholds, statistics, tables, figures and the paper, from scores alone: no model, no data."""

from tinyguardrail_paper.analysis.evaluate import evaluate
from tinyguardrail_paper.document.report import write_report
from tinyguardrail_paper.settings.params import Params
from tinyguardrail_paper.settings.stage import run_stage


def main(params: Params) -> None:
    write_report(evaluate(params), params)


if __name__ == "__main__":
    run_stage(main, __doc__)
