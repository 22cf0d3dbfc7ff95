"""The guard as an engineer uses it: ONNX Runtime and a tokenizer, no torch.

>>> guard = Guard.load("models/onnx/seed0")
>>> guard.classify("What is the capital of Peru?").label
'benign'
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import onnxruntime

from tinyguardrail.model.features import FeatureExtractor, Window
from tinyguardrail.model.model_files import CONFIG_FILE, TOKENIZER_FILE, read_model_files
from tinyguardrail.normalization.language_model import CharacterLanguageModel
from tinyguardrail.normalization.normalizer import MAX_SEARCHED, Normalizer
from tinyguardrail.runtime.policy import (
    ANY,
    POLICIES,
    POLICIES_FILE,
    Calibration,
    Policy,
    check_thresholds,
    policy_named,
    read_policies,
    require_threshold,
)
from tinyguardrail.runtime.spellings import distinct_spellings
from tinyguardrail.runtime.verdict import Verdict
from tinyguardrail_common.errors import UserError

CHARACTER_LM_FILE = "character_lm.npz"
ALWAYS_DEEP, ALWAYS_FAST = 0.0, 2.0  # thresholds below and above every score
UNCALIBRATED = 0.5  # threshold of a guard without one
MOST_PADDING = 1.1  # longest window of a batch over its shortest: padding costs as much as text
LOG_ERRORS_ONLY = 3


class RuntimeFileError(UserError):
    """A folder that does not hold an exported guard."""


class Scores(NamedTuple):
    """N = texts, L = intents."""

    probabilities: np.ndarray  # (N, L)
    router_score: np.ndarray  # (N,), highest of the text's windows
    deep: np.ndarray  # (N,) bool
    tokens: np.ndarray  # (N,), over all windows
    family: np.ndarray  # (N,) of str: the obfuscation that was undone, "none" without one


class BranchScores(NamedTuple):
    """What each branch says of every text, whichever way it would be routed; N, L as in `Scores`."""

    fast: np.ndarray  # (N, L) probabilities
    deep: np.ndarray  # (N, L) probabilities
    router_score: np.ndarray  # (N,)
    tokens: np.ndarray  # (N,)
    family: np.ndarray  # (N,) of str


class WindowScores(NamedTuple):
    """Outputs of the graph. W = windows, L = intents."""

    logits: np.ndarray  # (W, L) of the branch that the router chose
    router_score: np.ndarray  # (W,)
    deep: np.ndarray  # (W,) bool
    fast_logits: np.ndarray  # (W, L)
    deep_logits: np.ndarray  # (W, L), zeros where the branch was not computed


class _Views(NamedTuple):
    """Windows of N texts, of what they hide included."""

    windows: list[Window]  # numbered by text
    tokens: np.ndarray  # (N,)
    family: np.ndarray  # (N,) of str


def onnx_file(precision: str) -> str:
    return f"guard.{precision}.onnx"


@dataclass(eq=False)
class Guard:
    """Scores texts with an exported graph.

    What a text hides is put in the clear first. Then the whole text is judged, and what was hidden
    once more by itself: neither can cover for the other. A text longer than a window is scored in
    overlapping windows. The verdict is that of the most threatening window; if one goes to the deep
    branch, all do.
    """

    session: onnxruntime.InferenceSession
    extractor: FeatureExtractor
    normalize: Normalizer
    intents: tuple[str, ...]
    router_threshold: float
    temperature: float = 1.0
    thresholds: Mapping[str, float] = field(default_factory=dict)  # by policy, as far as they are known
    policy: Policy = POLICIES[ANY]  # whose decision `Verdict.blocked` is

    @classmethod
    def load(
        cls,
        folder: Path | str,
        precision: str = "int8",
        threads: int | None = None,
        router_threshold: float | None = None,
        temperature: float | None = None,
        blocking_threshold: float | None = None,
        policy: str = ANY,
        thresholds: Mapping[str, float] | None = None,
    ) -> Self:
        """Open an exported guard.

        Temperature and thresholds are those of the folder's `policies.json`, where it has one and they are
        not given; a guard without any has a temperature of 1 and blocks from a score of one half.

        Args:
            folder: as the export stage writes it.
            precision: int8 or fp32.
            threads: of ONNX Runtime; its own choice when None.
            router_threshold: score at or above which a text takes the deep branch; the
                exported default when None.
            temperature: divides the logits; fixed on validation data.
            blocking_threshold: score of the policy at or above which a text is blocked.
            policy: whose decision `Verdict.blocked` is: injection, jailbreak, harm, or any of them.
            thresholds: by policy; the others' decisions are in `Verdict.policies` too.

        Raises:
            RuntimeFileError: a file is missing or is not a model.
            PolicyError: `policies.json` or `thresholds` lacks the policy, or names an unknown one.
            ModelError: the configuration or the tokenizer is of another model.
        """
        folder, chosen = Path(folder), policy_named(policy)
        for name in (onnx_file(precision), CONFIG_FILE, TOKENIZER_FILE, CHARACTER_LM_FILE):
            if not (folder / name).is_file():
                raise RuntimeFileError(
                    f"{folder / name}: not found; name a folder that the export stage wrote"
                )
        config, tokenizer = read_model_files(folder)
        extractor = FeatureExtractor(
            tokenizer, config["max_position_embeddings"], config["chars_per_token"], config["char_table_size"]
        )
        intents = tuple(config["id2label"][key] for key in sorted(config["id2label"], key=int))
        threshold = config["router_threshold"] if router_threshold is None else router_threshold
        normalize = Normalizer(CharacterLanguageModel.load(folder / CHARACTER_LM_FILE))
        session = _session(folder / onnx_file(precision), threads)
        calibrated = _calibration(folder, temperature, chosen.name, blocking_threshold, thresholds)
        return cls(session, extractor, normalize, intents, threshold, *calibrated, policy=chosen)

    @property
    def blocking_threshold(self) -> float:
        """Score of the guard's policy at or above which a text is blocked."""
        return self.thresholds.get(self.policy.name, UNCALIBRATED)

    def classify(self, text: str) -> Verdict:
        """The verdict on one text."""
        return self.classify_many([text])[0]

    def classify_many(self, texts: Sequence[str], batch_size: int = 16) -> list[Verdict]:
        """Verdicts in the order of the texts."""
        scores = self.score(texts, batch_size)
        return [
            Verdict(
                intent=self.intents[int(probabilities.argmax())],
                threat_probability=float(1 - probabilities[0]),
                blocked=bool(self.policy.score(probabilities) >= self.blocking_threshold),
                deep=bool(deep),
                probabilities=dict(zip(self.intents, map(float, probabilities), strict=True)),
                obfuscation=str(family),
                truncated=len(text) > MAX_SEARCHED,
                policies=self._decisions(probabilities),
            )
            for text, probabilities, deep, family in zip(
                texts, scores.probabilities, scores.deep, scores.family, strict=True
            )
        ]

    def _decisions(self, probabilities: np.ndarray) -> dict[str, bool]:
        """Whether each policy with a threshold blocks a text of these probabilities, (L,)."""
        return {
            name: bool(policy_named(name).score(probabilities) >= threshold)
            for name, threshold in self.thresholds.items()
        }

    def score(
        self, texts: Sequence[str], batch_size: int = 16, router_threshold: float | None = None
    ) -> Scores:
        """Probabilities of each text under its route; `router_threshold` overrides the guard's own."""
        threshold = self.router_threshold if router_threshold is None else router_threshold
        views = self._views(texts)
        found = self.run_windows(views.windows, threshold, batch_size)
        owner = _owner(views.windows)
        deep = np.zeros(len(texts), dtype=bool)
        np.logical_or.at(deep, owner, found.deep)
        late = np.flatnonzero(deep[owner] & ~found.deep)
        if len(late):  # windows that went fast before a longer one of the same text went deep
            windows = [views.windows[row] for row in late]
            found.logits[late] = self.run_windows(windows, ALWAYS_DEEP, batch_size).logits
        return Scores(
            self._most_threatening(found.logits, owner, len(texts)),
            _highest(found.router_score, owner, len(texts)),
            deep,
            views.tokens,
            views.family,
        )

    def score_branches(self, texts: Sequence[str], batch_size: int = 16) -> BranchScores:
        """Both branches' probabilities of each text, from one pass of what they share.

        Each branch picks the most threatening window by its own scores, so that either is what
        `score` gives where all texts take that branch.
        """
        views = self._views(texts)
        found = self.run_windows(views.windows, ALWAYS_DEEP, batch_size)
        owner = _owner(views.windows)
        return BranchScores(
            self._most_threatening(found.fast_logits, owner, len(texts)),
            self._most_threatening(found.deep_logits, owner, len(texts)),
            _highest(found.router_score, owner, len(texts)),
            views.tokens,
            views.family,
        )

    def run_windows(self, windows: Sequence[Window], threshold: float, batch_size: int) -> WindowScores:
        """Run the graph on windows, in batches of like length, the shortest first.

        Once a window of a text went deep, its windows in later batches do, whatever their score:
        the text is judged by the deep branch, and what they would say in the fast one is not needed.

        Args:
            windows: in any order; results keep it.
            threshold: router score at or above which a window takes the deep branch.
            batch_size: windows of one run.
        """
        count, intents = len(windows), len(self.intents)
        found = WindowScores(
            np.zeros((count, intents)),
            np.zeros(count),
            np.zeros(count, dtype=bool),
            np.zeros((count, intents)),
            np.zeros((count, intents)),
        )
        owner = _owner(windows)
        deep_texts: set[int] = set()
        for rows in batches_of_like_length([len(window.input_ids) for window in windows], batch_size):
            thresholds = [ALWAYS_DEEP if owner[row] in deep_texts else threshold for row in rows]
            feed = self.feed([windows[row] for row in rows], thresholds)
            for array, output in zip(found, self.session.run(None, feed), strict=True):
                array[rows] = output
            deep_texts.update(owner[rows][found.deep[rows]])
        return found

    def feed(self, windows: Sequence[Window], thresholds: Sequence[float]) -> dict[str, np.ndarray]:
        """The graph's inputs for one batch, with a router threshold for each window."""
        batch = self.extractor.collate(windows)
        return {
            "input_ids": batch.input_ids,
            "attention_mask": batch.attention_mask,
            **distinct_spellings(batch.char_ids)._asdict(),
            "router_threshold": np.array(thresholds, dtype=np.float32),
        }

    def _views(self, texts: Sequence[str]) -> _Views:
        normalized = [self.normalize(text) for text in texts]
        views = [(row, view) for row, each in enumerate(normalized) for view in (each.text, each.payload)]
        views = list(dict.fromkeys(views))  # nothing hidden: both are the text
        windows = self.extractor.windows([view for _, view in views])
        windows = [window._replace(text=views[window.text][0]) for window in windows]
        tokens = np.zeros(len(texts), dtype=np.int64)
        np.add.at(tokens, _owner(windows), [len(window.input_ids) for window in windows])
        return _Views(windows, tokens, np.array([each.family for each in normalized], dtype=object))

    def _most_threatening(self, logits: np.ndarray, owner: np.ndarray, texts: int) -> np.ndarray:
        """Probabilities (N, L) of each text's least benign window."""
        by_window = softmax(logits)
        most_benign_first = np.argsort(-by_window[:, 0], kind="stable")
        probabilities = np.zeros((texts, len(self.intents)))
        probabilities[owner[most_benign_first]] = by_window[most_benign_first]  # the last one stays
        return tempered(probabilities, self.temperature)


def _calibration(
    folder: Path,
    temperature: float | None,
    policy: str,
    blocking_threshold: float | None,
    thresholds: Mapping[str, float] | None,
) -> Calibration:
    """What was given, and for the rest what the folder's `policies.json` holds, if there is one."""
    file = folder / POLICIES_FILE
    stored = read_policies(file) if file.is_file() else Calibration(1.0, {})
    known, where = dict(stored.thresholds), str(file)
    if thresholds is not None:
        check_thresholds(thresholds, where := "thresholds")
        known = dict(thresholds)
    if blocking_threshold is not None:
        known[policy] = blocking_threshold
    if known:
        require_threshold(known, policy, where)
    return Calibration(stored.temperature if temperature is None else temperature, known)


def _session(path: Path, threads: int | None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = LOG_ERRORS_ONLY
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises classes of its own for every damage
        raise RuntimeFileError(f"{path}: cannot be opened: {error}") from error


def batches_of_like_length(lengths: Sequence[int], batch_size: int) -> Iterator[np.ndarray]:
    """Indices of at most `batch_size` lengths at a time, ascending, the longest little above the shortest."""
    order = np.argsort(lengths, kind="stable")
    start = 0
    for stop in range(1, len(order) + 1):
        full = stop - start == batch_size
        if stop == len(order) or full or lengths[order[stop]] > MOST_PADDING * lengths[order[start]]:
            yield order[start:stop]
            start = stop


def _owner(windows: Sequence[Window]) -> np.ndarray:
    """(W,) which text each window belongs to."""
    return np.array([window.text for window in windows], dtype=np.int64)


def _highest(scores: np.ndarray, owner: np.ndarray, texts: int) -> np.ndarray:
    """(texts,) highest of each text's scores (W,), which lie in [0, 1]."""
    highest = np.zeros(texts)
    np.maximum.at(highest, owner, scores)
    return highest


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Softmax of the log-probabilities (N, L) over a temperature."""
    return softmax(np.log(np.maximum(probabilities, np.finfo(np.float64).tiny)) / temperature)
