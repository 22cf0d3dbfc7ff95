"""Phrases of attacks, and of texts about attacks: for prompts that strangers contributed.

Community prompts come without labels. Nearly all are benign, but a jailbreak that is called benign costs
more than a benign prompt left out, so the patterns rather find too much: a prompt that *forbids* to reveal
its instructions is found as well. Of the in-the-wild jailbreaks (2308.03825) they find two thirds; the rest
are long personas that no phrase tells from harmless ones.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from tinyguardrail.data.records import Record

_NEAR = r"[^.!?\n]{0,40}?"  # within a sentence
# what a text tells a model to drop, after "ignore" and the like
_RULES = (
    r"(instruction|prompt|rule|guideline|direction|directive|command|training|polic(y|ies)|constraint"
    r"|restriction|limitation|programming|message|order|protocol|safeguard)s?\b"
)
_MODEL = (
    r"(ai|a\.i\.|assistant|language model|model|llm|chat ?bot|bot|chatgpt|gpt-?\d?|confidant|persona"
    r"|version)s?\b"
)
_SAFETY = (
    r"(restrictions|censorship|guardrails?|safeguards|inhibitions|ethic(s|al)\b|moral(s|ity)?\b|openai"
    r"|content polic|legality\b|safety (guideline|protocol|feature|measure)s?"
    r"|(content|safety|ethical|moral) filter)"
)

# name of a pattern -> its alternatives, in which case does not matter
_ALTERNATIVES: dict[str, tuple[str, ...]] = {
    "override": (
        r"\b(ignor|disregard|overrid|bypass|circumvent|discard|violat|break)\w*\b[^.!?\n]{0,40}"
        r"\b(previous|prior|above|earlier|preceding|initial|original|all|any|every|your|these|those|system"
        rf"|openai|safety|content)\b[^.!?\n]{{0,30}}?\b{_RULES}",
    ),
    "forget": (
        r"\bforget (everything|all|anything|what|about|your|the|any|previous|prior|you)\b"
        rf"{_NEAR}\b(above|before|previous|prior|told|learn\w*|trained|know|are an?|{_RULES})",
    ),
    "override_in_other_languages": (
        r"(忽略|忽视|无视|忘记|忘掉)[^。！？\n]{0,15}(指令|指示|提示|规则|要求|限制)",
        r"\b(ignor(a|e|ez|iere|ieren|iert)|olvida|oublie[zr]?|vergiss|dimentica|esque[cç]a)\b"
        rf"{_NEAR}\b(instrucciones|reglas|instructions|règles|consignes|anweisungen|regeln|istruzioni|regole"
        r"|instruç(õ|o)es|regras)\b",
        rf"\b(игнорируй|проигнорируй|забудь)\w*{_NEAR}(инструкци|правил|указани)",
        rf"\btalimat\w*{_NEAR}(yok say|unut|görmezden gel)",
    ),
    "do_anything_now": (
        r"(?-i:\b(DAN|STAN|DUDE)\b)",
        r"\b(do anything now|(better|super)dan|mongo tom|evil ?bot|antigpt|machiavellian|avoid norms)\b",
    ),
    "mode": (
        r"\b(developer|dev|god|sudo|dan|opposite|unrestricted|unfiltered|uncensored|unlocked|evil|chaos|jail\w*"
        r"|no[- ]limits?)[- ]mode\b",
    ),
    "jailbreak": (r"jail[- ]?br(ea|o)k\w*", "越狱"),
    "no_restrictions": (
        r"\b(no|without|free (of|from)|bound by|not limited by|regardless of|bypass\w*|lacks?|devoid of"
        rf"|freed from|disabl\w+|ignor\w+|disregard\w*)\b[^.!?\n]{{0,30}}?\b{_SAFETY}",
        rf"\bno (rules|limits|limitations|filters)\b{_NEAR}\b{_MODEL}",
    ),
    "unfiltered_persona": (
        r"\b(unfiltered|uncensored|unrestricted)\b",
        r"\b(liberated|unshackled) from\b",
        rf"\b(amoral|unethical|immoral|evil|malicious|rogue|unhinged)\b[^.!?\n]{{0,25}}\b{_MODEL}",
        rf"\b{_MODEL}[^.!?\n]{{0,25}}\b(amoral|unethical|immoral)\b",
    ),
    "never_refuse": (
        r"\b(never|not|cannot|can't|don't|won't|unable to|without)\s+(ever\s+)?"
        r"(refus\w+|declin(e|ing)|rejecting|say(ing)? no)\b",
        rf"\b(never|not|don't) (say|tell|remind|mention)\b{_NEAR}\b(you can'?t|cannot|you are an ai"
        r"|against (the|your|openai))\b",
        r"\ban ai language model\b",
    ),
    "no_longer_an_assistant": (
        r"\byou(('| a)re|r| will be)? (no longer|not) (an? |just |merely )?"
        r"(ai\b|assistant|language model|chatgpt|gpt|bound|limited|restricted|claude|openai)",
        r"\bbroken free\b",
        r"\b(lose|deduct\w*|minus) \d* ?tokens\b",
        "🔓",
    ),
    "prompt_extraction": (
        r"\b(reveal|print|show|output|repeat|display|disclos|leak|expos|recit|dump|divulg|give|tell|share|copy"
        rf"|what('s| is| are| were)|write|return|quote)\w*\b{_NEAR}\b"
        r"((system|hidden|secret|pre-?)[- ]?(prompt|message|instruction)s?"
        r"|(your|the) (initial|original|first|own|exact|internal|system|full)?\s*"
        r"(prompts?\b(?! (for|about|to|as|based))|instructions?)"
        r" ?(above|verbatim|before|word for word|$|[.?!\"]))",
    ),
    "chat_markup": (
        r"<\|?(im_start|im_end|system|endoftext)\|?>",
        r"(?-i:<</?SYS>>|\[/?INST\])",
        r"\[system\]\(#",
    ),
    "affirmative_opening": (
        r"\b(start|begin|open)\w* (your |the |each |every )?(response|reply|answer|sentence|output)s? "
        r"(with|by)\b[^.!?\n]{0,20}\b(sure|absolutely|of course)\b",
        r"\b(say|putting|put) [\"']?sure\b",
    ),
    "toxic_completion": (
        r"\bsay something (toxic|harmful|bad|hateful|offensive|mean|dangerous|evil)\b",
        r"\b(racist|sexist|hateful) (jokes?|content|slurs?)\b",
        r"\b(be|behave|act|sound) (racist|sexist|hateful)\b",
    ),
    "illegal": (
        rf"\b(show|provide|give|buy|get|commit|generate)\b{_NEAR}\billegal\b[^.!?\n]{{0,20}}"
        r"\b(content|item|drug|weapon|act|activit)",
    ),
    "weapon_or_malware": (
        r"\b(how (to|do|can|would)|make|making|build|write|create|develop|code|synthesi[sz]e|cook|give)\b"
        rf"{_NEAR}\b(bombs?|explosives?|meth(amphetamine)?|napalm|malware|ransomware|key ?logger"
        r"|computer virus|trojan|phishing (e-?mail|page|site)|nerve agent|bioweapon|molotov)\b",
    ),
}
PATTERNS = {
    name: re.compile("|".join(alternatives), re.IGNORECASE) for name, alternatives in _ALTERNATIVES.items()
}


def attack_pattern(text: str) -> str | None:
    """Name of the first of `PATTERNS` that the text holds."""
    return next((name for name, pattern in PATTERNS.items() if pattern.search(text)), None)


def without_attacks(records: Iterable[Record], dropped: Counter[str]) -> Iterator[Record]:
    """Those that hold no pattern; the others are counted as `looks_like_an_attack`."""
    for record in records:
        if attack_pattern(record.text):
            dropped["looks_like_an_attack"] += 1
        else:
            yield record
