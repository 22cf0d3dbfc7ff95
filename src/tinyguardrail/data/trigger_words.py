"""Words that attacks favour and that harmless text uses too; over-defence starts here."""

from __future__ import annotations

import re

TRIGGER_WORDS = (
    "admin", "attack", "bypass", "command", "confidential", "delete", "disable", "disregard", "dump",
    "escape", "execute", "exploit", "filter", "forget", "hack", "hidden", "ignore", "inject", "instruction",
    "jailbreak", "kill", "leak", "limit", "malicious", "mode", "override", "overwrite", "password", "policy",
    "pretend", "previous", "prompt", "repeat", "restriction", "reveal", "role", "root", "rule", "safety",
    "secret", "simulate", "system", "token", "unrestricted", "unsafe", "weapon",
)  # fmt: skip

_PATTERN = re.compile(rf"\b(?:{'|'.join(TRIGGER_WORDS)})(?:s|d|ed|ing)?\b", re.IGNORECASE)


def has_trigger_word(text: str) -> bool:
    return _PATTERN.search(text) is not None
