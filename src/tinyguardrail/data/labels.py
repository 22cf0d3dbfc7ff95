"""What a text can be, as every part of the guard numbers it.

An intent says what a text is after, in the clear or hidden: taking over the model (`injection`, direct or
planted), a technique that gets around its refusals (`jailbreak`), or a harmful request as it stands (`harm`).
It is what the model tells. A label is what a verdict calls the text: obfuscation, where a threat was hidden.
"""

BENIGN = "benign"
OBFUSCATION = "obfuscation"
LABELS = (BENIGN, "direct_injection", "jailbreak", OBFUSCATION)

LABEL_OF_INTENT = {
    BENIGN: BENIGN,
    "injection": "direct_injection",
    "jailbreak": "jailbreak",
    "harm": "jailbreak",
}
INTENTS = tuple(LABEL_OF_INTENT)
