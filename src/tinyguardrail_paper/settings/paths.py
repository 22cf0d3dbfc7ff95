"""Every path of a scale's folder, relative to it.

Stages run with that folder as the working directory (DVC does so), so the same code
serves the repository root, `full/` and the smoke test.
"""

from pathlib import Path

PARAMS_FILE = Path("params.yaml")
NUMERIC_LOCK = Path("requirements-numeric.lock")

CORPUS = Path("data/corpus")
GRAMMAR = CORPUS / "grammar"
RAW = Path("data/raw")
RAW_REPORT = RAW / "report.json"
SPLITS = Path("data/splits")
SCORES = Path("data/scores")
RECIPE_SCORES = SCORES / "var_ablate"

MODELS = Path("models")
CHARACTER_LM = MODELS / "character_lm.npz"
GUARD = MODELS / "guard"
QUANTIZED = MODELS / "quantized"
ONNX = MODELS / "onnx"
MOE = MODELS / "moe"

RESULTS = Path("results")
DATA_CARD = RESULTS / "data_card.json"
TRAINING = RESULTS / "training"
EXPORT = RESULTS / "export"
VAR = RESULTS / "var"
VAR_SEARCH = RESULTS / "var_search.json"
VAR_ABLATE = RESULTS / "var_ablate"
EVASION = RESULTS / "evasion"
BASELINES = RESULTS / "baselines"
PEER_RUNS = RESULTS / "peers"
LATENCY = RESULTS / "latency"
PLOTS = RESULTS / "plots"
TABLES = RESULTS / "tables"
FIGURES = RESULTS / "figures"
METRICS = RESULTS / "metrics.json"
HEADLINE = RESULTS / "headline.json"
RUN = RESULTS / "run.json"
MODEL_CARD = RESULTS / "model_card.md"

PAPER = Path("paper")
NUMBERS = PAPER / "numbers.json"
PAPER_SOURCE = PAPER / "main.typ"
PAPER_PDF = PAPER / "paper.pdf"

# Unfinished work of interrupted stages, and files to watch training by: ignored by git, unknown to DVC.
RESUME = Path(".resume")
TRACKERS = Path("runs")


def seed_name(seed: int) -> str:
    """The name that one seed's files and folders carry."""
    return f"seed{seed}"
