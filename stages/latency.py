"""Time every seed's guard and VAR on this machine; run by hand, with nothing beside it."""

from tinyguardrail_common.compute import prepare_process, repeatable

if __name__ == "__main__":
    prepare_process()  # before torch is loaded: without it the stock kernel alone slows down

from pathlib import Path

from tinyguardrail_common.files import atomic_folder
from tinyguardrail_paper.experiments.latency import beside, time_guards, time_reference_models
from tinyguardrail_paper.settings.params import Params
from tinyguardrail_paper.settings.paths import LATENCY
from tinyguardrail_paper.settings.stage import run_stage


def main(params: Params, into: Path) -> None:
    repeatable(params.compute.threads)
    with atomic_folder(into) as folder:
        time_guards(params, folder)
        time_reference_models(params, folder)
    if into != LATENCY:
        print(beside(LATENCY, into))


if __name__ == "__main__":
    run_stage(main, __doc__, into={"type": Path, "default": LATENCY, "help": "folder to write timings to"})
