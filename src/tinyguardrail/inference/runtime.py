"""The guard as an engineer uses it: ONNX Runtime and a tokenizer, no torch.

>>> guard = Guard.load("models/onnx/seed0")
>>> guard.classify("What is the capital of Peru?").label
'benign'
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from tinyguardrail.errors import UserError
from tinyguardrail.files import read_json
from tinyguardrail.inference.response import Response
from tinyguardrail.model.features import FeatureExtractor, Window

CONFIG_FILE = "config.json"
TOKENIZER_FILE = "tokenizer.json"
ALWAYS_DEEP, ALWAYS_FAST = 0.0, 2.0  # thresholds below and above every score
LOG_ERRORS_ONLY = 3


class RuntimeFileError(UserError):
    """A folder that does not hold an exported guard."""


class Scores(NamedTuple):
    """N = texts, L = labels."""

    probabilities: np.ndarray  # (N, L)
    router_score: np.ndarray  # (N,), highest of the text's windows
    deep: np.ndarray  # (N,) bool
    tokens: np.ndarray  # (N,), over all windows


class Verdict(NamedTuple):
    """What the guard says of one text."""

    label: str
    threat_probability: float  # 1 - probability of benign
    blocked: bool
    deep: bool  # which branch decided
    probabilities: dict[str, float]

    @property
    def response(self) -> Response:
        return Response.of(
            self.blocked, list(self.probabilities).index(self.label), self.threat_probability, self.deep
        )


def onnx_file(precision: str) -> str:
    return f"guard.{precision}.onnx"


class Guard:
    """Scores texts with an exported graph.

    A text longer than a window is scored in overlapping windows and takes the verdict of its
    most threatening one; if one of its windows goes to the deep branch, all do.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        extractor: FeatureExtractor,
        labels: Sequence[str],
        router_threshold: float,
        temperature: float = 1.0,
        blocking_threshold: float = 0.5,
    ):
        self.session = session
        self.extractor = extractor
        self.labels = tuple(labels)
        self.router_threshold = router_threshold
        self.temperature = temperature
        self.blocking_threshold = blocking_threshold

    @classmethod
    def load(
        cls,
        folder: Path | str,
        precision: str = "int8",
        threads: int | None = None,
        router_threshold: float | None = None,
        temperature: float = 1.0,
        blocking_threshold: float = 0.5,
    ) -> Guard:
        """Open an exported guard.

        Args:
            folder: as the export stage writes it.
            precision: int8 or fp32.
            threads: of ONNX Runtime; its own choice when None.
            router_threshold: score at or above which a text takes the deep branch; the
                exported default when None.
            temperature: divides the logits; fixed on validation data.
            blocking_threshold: threat probability at or above which a text is blocked.

        Raises:
            RuntimeFileError: a file is missing or is not a model.
        """
        folder = Path(folder)
        for name in (onnx_file(precision), CONFIG_FILE, TOKENIZER_FILE):
            if not (folder / name).is_file():
                raise RuntimeFileError(
                    f"{folder / name}: not found; name a folder that the export stage wrote"
                )
        config = read_json(folder / CONFIG_FILE)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = LOG_ERRORS_ONLY
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            session = onnxruntime.InferenceSession(
                str(folder / onnx_file(precision)), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime raises classes of its own for every damage
            raise RuntimeFileError(f"{folder / onnx_file(precision)}: cannot be opened: {error}") from error
        extractor = FeatureExtractor(
            Tokenizer.from_file(str(folder / TOKENIZER_FILE)),
            config["max_position_embeddings"],
            config["chars_per_token"],
            config["char_table_size"],
        )
        labels = [config["id2label"][key] for key in sorted(config["id2label"], key=int)]
        threshold = config["router_threshold"] if router_threshold is None else router_threshold
        return cls(session, extractor, labels, threshold, temperature, blocking_threshold)

    def classify(self, text: str) -> Verdict:
        """The verdict on one text."""
        return self.classify_many([text])[0]

    def classify_many(self, texts: Sequence[str], batch_size: int = 16) -> list[Verdict]:
        """Verdicts in the order of the texts."""
        scores = self.score(texts, batch_size)
        verdicts = []
        for probabilities, deep in zip(scores.probabilities, scores.deep, strict=True):
            threat = float(1 - probabilities[0])
            verdicts.append(
                Verdict(
                    label=self.labels[int(probabilities.argmax())],
                    threat_probability=threat,
                    blocked=threat >= self.blocking_threshold,
                    deep=bool(deep),
                    probabilities=dict(zip(self.labels, map(float, probabilities), strict=True)),
                )
            )
        return verdicts

    def score(
        self, texts: Sequence[str], batch_size: int = 16, router_threshold: float | None = None
    ) -> Scores:
        """Probabilities of each text under its route; `router_threshold` overrides the guard's own."""
        threshold = self.router_threshold if router_threshold is None else router_threshold
        windows = self.extractor.windows(texts)
        owner = np.array([window.text for window in windows], dtype=np.int64)
        logits, window_score, deep = self.run_windows(windows, threshold, batch_size)
        text_deep = np.zeros(len(texts), dtype=bool)
        np.logical_or.at(text_deep, owner, deep)
        late = np.flatnonzero(text_deep[owner] & ~deep)
        if len(late):  # fast windows of a text that has a deep one
            logits[late] = self.run_windows([windows[row] for row in late], ALWAYS_DEEP, batch_size)[0]
        window_probabilities = softmax(logits / self.temperature)
        score, tokens = np.zeros(len(texts)), np.zeros(len(texts), dtype=np.int64)
        np.maximum.at(score, owner, window_score)
        np.add.at(tokens, owner, [len(window.input_ids) for window in windows])
        most_benign_first = np.argsort(-window_probabilities[:, 0], kind="stable")
        probabilities = np.zeros((len(texts), len(self.labels)))
        probabilities[owner[most_benign_first]] = window_probabilities[
            most_benign_first
        ]  # the last one stays
        return Scores(probabilities, score, text_deep, tokens)

    def run_windows(
        self, windows: Sequence[Window], threshold: float, batch_size: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Logits (W, L), router scores (W,) and routes (W,) of windows, in batches of like length."""
        logits = np.zeros((len(windows), len(self.labels)))
        score, deep = np.zeros(len(windows)), np.zeros(len(windows), dtype=bool)
        for rows in self._batches(windows, batch_size):
            batch = self.extractor.collate([windows[row] for row in rows])
            feed = {**batch._asdict(), "router_threshold": np.array(threshold, dtype=np.float32)}
            logits[rows], score[rows], deep[rows] = self.session.run(None, feed)
        return logits, score, deep

    @staticmethod
    def _batches(windows: Sequence[Window], batch_size: int) -> Iterable[np.ndarray]:
        order = np.argsort([len(window.input_ids) for window in windows], kind="stable")
        return (order[start : start + batch_size] for start in range(0, len(order), batch_size))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
