"""What a text can be, as every part of the guard numbers it."""

BENIGN = "benign"
OBFUSCATION = "obfuscation"
LABELS = (BENIGN, "direct_injection", "jailbreak", OBFUSCATION)
