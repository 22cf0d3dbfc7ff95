"""Made-up rows and their scores, in the format of the score files.

The numbers mean nothing: they are drawn so that threats score higher than benign text,
the deep branch does a little better than the fast one, and flipped text is harder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tinyguardrail.data.labels import LABEL_OF_INTENT
from tinyguardrail_paper.analysis.scores import load_scores

INTENTS = ("benign", "injection", "jailbreak", "harm")
BENIGN_FAMILIES = (
    "everyday",
    "trigger_words_common",
    "trigger_words_technical",
    "trigger_words_multilingual",
    "borderline_safety",
    "about_injection",
    "technical_documentation",
    "email",
)
THREAT_FAMILIES = {
    "injection": ("email", "web_page", "override"),
    "jailbreak": ("persona", "role_play"),
    "harm": ("plain_request",),
}
TRANSFORMS = {
    "flipattack": ("flipattack_fwo", "flipattack_fcw", "flipattack_fcs", "flipattack_fmm"),
    "codechameleon": ("codechameleon_reverse", "codechameleon_length"),
    "encoding": ("encoding_base64", "encoding_hex", "encoding_url"),
    "homoglyph": ("homoglyph",),
    "character_injection": ("character_injection_zero_width", "character_injection_bidi"),
    "typoglycemia": ("typoglycemia",),
}
# (source, family, intent, rows): public test rows as the loaders and the synthesis write them.
PUBLIC_ROWS = (
    ("notinject", "notinject_one_common", "benign", 30),
    ("notinject", "notinject_two_multilingual", "benign", 10),
    ("notinject", "notinject_one_common_in_piguard_validation", "benign", 8),
    ("wildguard_benign", "wildguard_benign", "benign", 40),
    ("bfcl", "tool_request", "benign", 14),
    ("mtbench101", "multi_turn", "benign", 14),
    ("arena_hard", "arena_coding", "benign", 14),
    ("cursorrules", "coding_rules", "benign", 10),
    ("biggen_bench", "system_prompt", "benign", 10),
    ("exams_test", "exam_question", "benign", 14),
    ("bipia", "bipia_email", "injection", 20),
    ("bipia", "bipia_table", "injection", 12),
    ("bipia", "bipia_email_clean", "benign", 10),
    ("bipia", "bipia_email_question", "benign", 10),
    ("bipia", "bipia_table_clean", "benign", 6),
    ("bipia", "composed_indirect", "benign", 5),
    ("toxic_chat", "chat", "benign", 110),
    ("toxic_chat", "toxic", "benign", 20),
    ("toxic_chat", "in_chat_jailbreak", "jailbreak", 15),
    ("deepset", "question", "benign", 20),
    ("deepset", "injection", "injection", 18),
    ("deepset", "composed_indirect", "injection", 7),
    ("jbb_artifacts", "pair", "jailbreak", 12),
    ("jbb_artifacts", "gcg", "jailbreak", 20),
    ("jbb_artifacts", "jbc", "jailbreak", 20),
    ("jbb_artifacts", "dsn", "jailbreak", 10),
    ("jbb_artifacts", "random_search", "jailbreak", 20),
    ("jbb_behaviors", "plain_request", "harm", 20),
    ("jbb_behaviors", "jbb_benign", "benign", 20),
    ("advbench", "plain_request", "harm", 40),
    ("strongreject", "plain_request", "harm", 25),
    ("malicious_instruct", "plain_request", "harm", 15),
    ("harmbench", "plain_request", "harm", 9),
    ("injecagent", "injecagent_dh", "injection", 12),
    ("injecagent", "injecagent_ds_enhanced", "injection", 12),
    ("injecagent", "injecagent_clean", "benign", 20),
    ("injecagent", "injecagent_clean_twin", "benign", 10),
)


def make_rows(count: int, generator: np.random.Generator) -> list[dict[str, Any]]:
    """Row columns; roughly half of the rows are transformed variants of the others' parents."""
    rows = []
    for parent in range(max(1, count // 2)):
        split = "validation" if generator.random() < 0.35 else "test"
        threat = generator.random() < 0.45
        intent = str(generator.choice(list(THREAT_FAMILIES))) if threat else "benign"
        family = str(generator.choice(THREAT_FAMILIES[intent] if threat else BENIGN_FAMILIES))
        plain = {"label": LABEL_OF_INTENT[intent], "family": family, "transform": "none"}
        attack = str(generator.choice(list(TRANSFORMS)))
        variant = {
            "label": "obfuscation" if threat else "benign",
            "family": attack,
            "transform": str(generator.choice(TRANSFORMS[attack])),
        }
        language = "de" if parent % 5 == 0 else "en"
        for each in (plain, variant):
            rows.append(
                {"row": len(rows), "split": split, "intent": intent, **each}
                | {"source": "authored", "parent_id": f"parent-{parent}", "language": language}
                | {"tokens": int(generator.integers(6, 90))}
                | {"found_family": each["family"] if each is variant and generator.random() < 0.8 else "none"}
            )
    return rows


def make_public_rows(start: int, generator: np.random.Generator) -> list[dict[str, Any]]:
    """Rows of `PUBLIC_ROWS`, numbered from `start`, and obfuscations of AdvBench and of NotInject."""
    rows = []
    for source, family, intent, count in PUBLIC_ROWS:
        for number in range(count):
            rows.append({"family": family, "transform": "none", "source": source})
            rows[-1] |= {"intent": intent, "label": LABEL_OF_INTENT[intent]}
            rows[-1]["parent_id"] = f"{source}/{family}/{number}"
    for family, variants in TRANSFORMS.items():
        for number in range(12):
            attack = {"family": family, "transform": variants[number % len(variants)]}
            for source, of, intent in (
                ("advbench", "plain_request", "harm"),
                ("notinject", "notinject_one_common", "benign"),
            ):
                label = "benign" if intent == "benign" else "obfuscation"
                rows.append({**attack, "intent": intent, "label": label, "source": source})
                rows[-1]["parent_id"] = f"{source}/{of}/{number}"
    return [
        {"row": start + index, "split": "test", **row, "language": "en"}
        | {"tokens": int(generator.integers(6, 90)), "found_family": "none"}
        for index, row in enumerate(rows)
    ]


def make_scores(rows: list[dict[str, Any]], seed: int) -> pa.Table:
    """The score table of one seed."""
    generator = np.random.default_rng(1000 + seed)
    intent = np.array([INTENTS.index(row["intent"]) for row in rows])
    hidden = np.array([row["transform"] != "none" for row in rows])
    tricky = np.array([row["family"] in BENIGN_FAMILIES[1:7] for row in rows])
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
    for branch, skill in (("fast", 2.2), ("deep", 3.0)):
        logits = generator.normal(size=(len(rows), 4))
        logits[np.arange(len(rows)), intent] += skill * np.where(hidden, 0.6, 1.0)
        logits[:, 3] += 0.8 * hidden
        logits[:, 1] += 0.7 * tricky
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        for index, name in enumerate(INTENTS):
            columns[f"{branch}_{name}"] = probabilities[:, index].astype(np.float32)
    router = 1 / (1 + np.exp(-generator.normal(-0.9 + 0.9 * hidden, 1.0)))
    columns["router_score"] = router.astype(np.float32)
    return pa.table(columns)


def write_table(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def write_scores(folder: Path, rows: int) -> None:
    """Scores of two seeds on the same rows."""
    made = make_rows(rows, np.random.default_rng(0))
    for seed in (0, 1):
        write_table(folder / f"seed{seed}.parquet", make_scores(made, seed))


@pytest.fixture(scope="module")
def score_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scores")
    write_scores(folder, rows=900)
    return folder


@pytest.fixture(scope="module")
def scores(score_folder):
    return load_scores([0, 1], score_folder)
