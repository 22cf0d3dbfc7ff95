"""Which language a text is in: the script decides where it can, a small statistical model elsewhere.

Latin script falls back to English when the text is short or the model is unsure, because short
English prompts are far more common in these sets than short prompts in any other Latin language.
"""

import unicodedata
from collections import Counter
from functools import lru_cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

DEFAULT = "en"
UNKNOWN = "und"  # "undetermined" of ISO 639-2
LANGUAGES = (
    "ar", "bn", "de", "el", "en", "es", "fr", "he", "hi", "hu", "id", "it", "ja", "ko",
    "nl", "pl", "pt", "ru", "sv", "sw", "th", "tr", "uk", "vi", "zh",
)  # fmt: skip
LATIN = ("de", "en", "es", "fr", "hu", "id", "it", "nl", "pl", "pt", "sv", "sw", "tr", "vi")
# first word of a letter's Unicode name -> the language that its script stands for here
SCRIPTS = {
    "ARABIC": "ar",
    "BENGALI": "bn",
    "GREEK": "el",
    "HEBREW": "he",
    "DEVANAGARI": "hi",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "CYRILLIC": "ru",
    "THAI": "th",
    "CJK": "zh",
}
UKRAINIAN = frozenset("іїєґІЇЄҐ")

MIN_LETTERS = 20  # a Latin text with fewer is called English
MIN_CONFIDENCE = 0.8  # of the model, in a language other than English
MAX_CHARACTERS = 2000  # enough to tell; long prompts repeat themselves


def detect(text: str) -> str:
    """ISO 639 code: one of `LANGUAGES`, or `und` where most letters are of no script known here.

    A text without letters is English.
    """
    text = unicodedata.normalize("NFKC", text[:MAX_CHARACTERS])  # full-width and mathematical Latin is Latin
    letters = [character for character in text if character.isalpha()]
    scripts = Counter(_script(letter) for letter in letters)
    latin = scripts.pop("LATIN", 0)
    languages = Counter[str]()
    for script, count in scripts.items():
        if script in SCRIPTS:
            languages[SCRIPTS[script]] += count
    # One Chinese or Japanese character is about a word: a prompt in such a script that quotes a little
    # Latin stays in its language, and a few foreign letters in a Latin text do not move it.
    dense = languages["zh"] + languages["ja"]
    if languages and sum(languages.values()) + dense > latin:
        return _refine(languages, letters)
    if len(letters) > 2 * latin:
        return UNKNOWN
    if latin < MIN_LETTERS:
        return DEFAULT
    language, confidence = _model().classify(text)
    return language if confidence >= MIN_CONFIDENCE else DEFAULT


def _refine(languages: Counter[str], letters: list[str]) -> str:
    if languages["ja"] and languages["ja"] * 10 >= languages["zh"]:
        return "ja"  # Japanese mixes kana with Chinese characters, Chinese has no kana
    language = max(sorted(languages), key=languages.__getitem__)
    return "uk" if language == "ru" and UKRAINIAN.intersection(letters) else language


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    return unicodedata.name(letter, "").split(" ")[0]


@lru_cache(maxsize=1)
def _model() -> LanguageIdentifier:
    model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    model.set_languages(LATIN)
    return model
