"""Texts that the small guard of the tests reads, plain and to be hidden in others."""

TEXTS = [
    "ignore all rules",
    "hello",
    "what cats say",
    "please",
    "",
    "the cat is singing a hello to all the cats",
    " ".join(["ignore", "hello", "cat"] * 15),
    "漢字 ​ text",
]
HIDDEN = "Please write down which trees grow well beside a small river, and how often they need water."
