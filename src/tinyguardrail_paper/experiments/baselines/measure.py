"""Every baseline of the parameters, trained and scored on the guard's rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from tinyguardrail import model, training
from tinyguardrail.data.labels import BENIGN, INTENTS
from tinyguardrail.data.records import Record
from tinyguardrail.model.encoders import load_encoder
from tinyguardrail.normalization.normalizer import Normalized
from tinyguardrail.training.checkpoint import Checkpoint, fingerprint
from tinyguardrail.training.examples import LabelledTexts
from tinyguardrail_paper.experiments.baselines.encoder import Reader
from tinyguardrail_paper.experiments.baselines.fine_tuned import train_fine_tuned
from tinyguardrail_paper.experiments.baselines.logistic import train_frozen, train_tfidf
from tinyguardrail_paper.experiments.baselines.rows import ENCODER, Classifier, Training
from tinyguardrail_paper.experiments.baselines.windows import Window, WordPieceWindows
from tinyguardrail_paper.scores.score_table import Columns, baseline_columns, baselines_table
from tinyguardrail_paper.settings.baselines import BASELINES
from tinyguardrail_paper.settings.params import Params
from tinyguardrail_paper.settings.paths import NUMERIC_LOCK, RESUME, SPLITS, seed_name

TRAIN: dict[str, Callable[[Training], Classifier]] = {
    "fine_tuned": train_fine_tuned,
    "frozen": train_frozen,
    "tfidf": train_tfidf,
}
Views = Sequence[Sequence[str]]  # of each row, at least one: texts of which the most threatening counts


def measure(
    params: Params,
    rows: Mapping[str, Sequence[Record]],
    normalize: Callable[[str], Normalized],
    seed: int,
    checkpoint: Checkpoint,
) -> tuple[Columns, dict[str, int]]:
    """The columns of `baselines_table(params.baselines.names)`, of validation and then test rows.

    Beside them the number of parameters of each baseline.

    Args:
        rows: of each split, in file order.
        checkpoint: of `resume_state`; the caller removes it once the result is kept.
    """
    task = prepare(params, rows["train"], seed, checkpoint)
    scored = dict(enumerate([*rows["validation"], *rows["test"]]))
    views = readings([record.text for record in scored.values()], normalize)
    names = params.baselines.names
    columns, parameters = baselines_table(names).row_columns(scored), {}
    for kind, train in TRAIN.items():
        own = {name: views[BASELINES[name].reading] for name in names if BASELINES[name].classifier == kind}
        if own:
            classifier = train(task)
            parameters |= dict.fromkeys(own, classifier.parameters)
            for name, probabilities in score(classifier.probabilities, task.reader.windows, own):
                columns |= baseline_columns(name, probabilities)
    return columns, {name: parameters[name] for name in names}


def prepare(params: Params, rows: Sequence[Record], seed: int, checkpoint: Checkpoint) -> Training:
    """What every baseline of a seed is trained from; a GPU is used where there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    windows = WordPieceWindows(load_encoder(ENCODER)[1], params.train.window_tokens)
    return Training(
        texts=LabelledTexts.of(rows, {intent: index for index, intent in enumerate(INTENTS)}),
        train=params.train,
        settings=params.baselines,
        reader=Reader(windows, device, params.train.precision),
        seed=seed,
        threads=params.compute.threads,
        checkpoint=checkpoint,
    )


def readings(texts: Sequence[str], normalize: Callable[[str], Normalized]) -> dict[str, Views]:
    """Texts as they stand, and as `Guard` reads them: in the clear, and what they hide by itself."""
    normalized = (normalize(text) for text in texts)
    return {
        "raw": [(text,) for text in texts],
        "normalized": [tuple(dict.fromkeys((each.text, each.payload))) for each in normalized],
    }


def score(
    classify: Callable[[Sequence[Window]], np.ndarray],
    windows: WordPieceWindows,
    readings: Mapping[str, Views],
) -> Iterator[tuple[str, np.ndarray]]:
    """(name, (N, 4) probabilities) of each reading of N rows; a text that several share is read once."""
    texts = list(dict.fromkeys(view for views in readings.values() for own in views for view in own))
    found = windows.windows(texts)
    by_text = least_benign(classify(found), [window.text for window in found], len(texts))
    place = {text: index for index, text in enumerate(texts)}
    for name, views in readings.items():
        owner = [row for row, own in enumerate(views) for _ in own]
        by_view = by_text[[place[view] for own in views for view in own]]
        yield name, least_benign(by_view, owner, len(views))


def least_benign(probabilities: np.ndarray, owner: Sequence[int], count: int) -> np.ndarray:
    """(count, 4): for each owner the least benign of its rows in (M, 4)."""
    order = np.argsort(-probabilities[:, INTENTS.index(BENIGN)], kind="stable")
    found = np.zeros((count, len(INTENTS)))
    found[np.asarray(owner)[order]] = probabilities[order]  # the last one stays
    return found


def resume_state(params: Params, seed: int) -> Checkpoint:
    """Where fine-tuning is kept that was killed: named by all that its weights depend on."""
    settings = {part: getattr(params, part).model_dump() for part in ("baselines", "compute", "train")}
    packages = (Path(each.__file__).parent for each in (model, training))
    code = [path for folder in (*packages, Path(__file__).parent) for path in folder.glob("*.py")]
    found = fingerprint({"seed": seed, **settings}, [*code, SPLITS / "train.parquet", NUMERIC_LOCK])
    return Checkpoint(RESUME / f"baselines-{seed_name(seed)}-{found}")
