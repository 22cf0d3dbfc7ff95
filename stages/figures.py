"""Thresholds, statistics, tables, figures and the paper, from scores alone: no model, no data."""

from tinyguardrail.evaluation.evaluate import evaluate
from tinyguardrail.params import Params
from tinyguardrail.reporting.report import write_report
from tinyguardrail.stage import run_stage


def main(params: Params) -> None:
    write_report(evaluate(params), params)


if __name__ == "__main__":
    run_stage(main)
