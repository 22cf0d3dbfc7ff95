"""What is known of each peer: what it is, how it reads, what it was trained on."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter
from ruamel.yaml import YAML

from tinyguardrail_common.param_types import Count, OpenFraction, Strict

HERE = Path(__file__).resolve().parent
SCORERS = HERE / "scorers"


class ModelFile(Strict):
    """A file of the installed package that holds what was learned; `path` is within site-packages."""

    path: str
    bytes: Count
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Peer(Strict):
    """One guard of `peers.yaml`.

    Attributes:
        distribution, version: as the package index has them.
        model_files: checked before they are loaded, since some are pickles.
        detects: what its publisher says a threat is.
        default_threshold: from which probability it blocks.
        window_tokens: of one pass of the model; None where it has no such bound.
        long_text: read in `windows`, `cut` after the first, or taken as a `whole`.
        trained_on: what the publisher says.
        leaks: our sources whose rows it trained on, or may have, each with the reason.
        folder: of its lock file and scorer.
    """

    name: str
    title: str
    distribution: str
    version: str
    licence: str
    model: str
    parameters: Count
    wheel_bytes: Count
    model_files: list[ModelFile]
    detects: str
    default_threshold: OpenFraction
    window_tokens: Count | None
    long_text: Literal["windows", "cut", "whole"]
    reads: str
    trained_on: str
    leaks: dict[str, str]
    folder: Path = SCORERS

    @property
    def lock(self) -> Path:
        """Every package of its environment, pinned."""
        return self.folder / f"{self.name}.lock"

    @property
    def scorer(self) -> Path:
        """The script that its environment runs."""
        return self.folder / f"score_{self.name}.py"

    @property
    def model_bytes(self) -> int:
        return sum(file.bytes for file in self.model_files)


def read_peers() -> dict[str, Peer]:
    """Every known peer by name, in the order of the file."""
    content = YAML(typ="safe", pure=True).load((HERE / "peers.yaml").read_text(encoding="utf-8"))
    return {peer.name: peer for peer in TypeAdapter(list[Peer]).validate_python(content)}
