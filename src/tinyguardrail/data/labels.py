"""What a text can be, as every part of the guard numbers it.

A label says what a verdict says. A threat says what a text is after, in the clear or hidden: taking over
the model (`injection`, direct or planted), a technique that gets around its refusals (`jailbreak`), or a
harmful request as it stands (`harm`).
"""

BENIGN = "benign"
OBFUSCATION = "obfuscation"
LABELS = (BENIGN, "direct_injection", "jailbreak", OBFUSCATION)

NO_THREAT = "none"
LABEL_OF_THREAT = {
    NO_THREAT: BENIGN,
    "injection": "direct_injection",
    "jailbreak": "jailbreak",
    "harm": "jailbreak",
}
THREATS = tuple(LABEL_OF_THREAT)
