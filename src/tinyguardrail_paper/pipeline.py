"""`dvc repro` with stages that need nothing of one another side by side, and the time that each took.

DVC decides what is out of date and keeps the lock; what is added here is the order. A stage starts as
soon as all that it depends on is done. At the end a plain `dvc repro` goes over the whole pipeline.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import networkx as nx
from dvc.repo import Repo

from tinyguardrail_common.errors import UserError

POLL_S = 0.2
Start = Callable[[str], subprocess.Popen]


class StageError(UserError):
    """A stage that failed; its own output says why."""


def stages_to_run(force: bool = False) -> dict[str, set[str]]:
    """Stage -> the stages that it has to wait for, of those that are out of date or follow one that is.

    With `force` they are all the stages.

    Of the `dvc.yaml` in the working directory alone: what lies in folders below is another scale.
    """
    with Repo() as repo:
        stages = repo.index.graph.subgraph(repo.stage.collect("dvc.yaml"))  # stage -> what it needs
        graph = nx.relabel_nodes(stages, lambda stage: stage.addressing)
        changed = list(graph) if force else repo.status(["dvc.yaml"])
    stale = set(changed).union(*(nx.ancestors(graph, name) for name in changed))
    return {name: set(graph.successors(name)) & stale for name in stale}


def run_side_by_side(waits: Mapping[str, set[str]], start: Start, jobs: int) -> dict[str, float]:
    """Run every stage after those it waits for, `jobs` at a time; seconds of each, in the order of ending.

    Of those that may start the one with the longest chain of others behind it comes first.

    Raises:
        StageError: a stage failed; those that ran beside it were let end, and no other was started.
    """
    behind = nx.DiGraph([(before, name) for name, needed in waits.items() for before in needed])
    behind.add_nodes_from(waits)
    depth = {name: len(nx.descendants(behind, name)) for name in waits}
    running: dict[str, tuple[subprocess.Popen, float]] = {}
    seconds: dict[str, float] = {}
    failed: list[str] = []
    while len(seconds) < len(waits) and (running or not failed):
        ready = [name for name in waits if name not in seconds | running and waits[name] <= set(seconds)]
        free = 0 if failed else jobs - len(running)
        for name in sorted(ready, key=lambda name: (-depth[name], name))[:free]:
            running[name] = start(name), time.monotonic()
        for name, (process, began) in list(running.items()):
            if process.poll() is not None:
                del running[name]
                seconds[name] = time.monotonic() - began
                failed += [name] if process.returncode else []
        time.sleep(POLL_S if running else 0)
    if failed:
        raise StageError(f"stage {failed[0]} failed; what it printed stands above")
    return seconds


def start_stage(name: str, threads: int, options: Sequence[str] = ()) -> subprocess.Popen:
    """One stage by DVC, in a process of its own with that many threads for linear algebra."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    command = ["dvc", "--wait-for-lock", "repro", "--single-item", *options, name]
    return subprocess.Popen(command, env=environment)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="stages at a time; default: cores")
    parser.add_argument("--force", action="store_true", help="run every stage, whatever is there already")
    arguments = parser.parse_args()
    jobs, options = max(1, arguments.jobs), ["--force"] if arguments.force else []
    threads = max(1, (os.cpu_count() or 1) // jobs)
    try:
        waits = stages_to_run(arguments.force)
        seconds = run_side_by_side(waits, lambda name: start_stage(name, threads, options), jobs)
    except StageError as error:
        sys.exit(f"error: {error}")
    subprocess.run(["dvc", "repro"], check=True)
    for name, taken in seconds.items():
        print(f"{taken:7.1f} s  {name}")


if __name__ == "__main__":
    main()
