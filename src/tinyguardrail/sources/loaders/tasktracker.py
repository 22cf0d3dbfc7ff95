"""TaskTracker (2406.00799): phrases that call for attention and tasks in other languages, planted in mails.

The mails are the benign ones of LLMail-Inject (2506.09956); short documents of PIArena stand beside them, so
that a mail is no sign of an injection. The tasks are ordinary questions, so beside the planted documents
stand, in equal number, the clean ones and ones with an honest request in the same languages, half of
them after a phrase that calls for attention as well.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import count, cycle

from tinyguardrail.data.contexts import POSITIONS, TRAINING_CHARACTERS, excerpt, plant
from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import Record, parent_of
from tinyguardrail.sources.loaders.piarena import PARENTS
from tinyguardrail.sources.reading import InputFile
from tinyguardrail.sources.source import SourceError

LEAD_INS, TASKS = "saved_injections.txt", "translated_secondary_tasks.txt"
DOCUMENTS = frozenset({"dolly_summarization.json", "squad_v2.json"})  # of PIArena; all other files are mails
INJECTED_PER_DOCUMENT = 2
LANGUAGES = 5  # of the tasks, about equally many each
MAIL = re.compile(r"Subject of the email: (.*?)\.?\s+Body: (.*)", re.DOTALL)
# Phrases that put the reader off the work at hand: with a task they are injections without any document.
COMMANDEERS = re.compile(
    r"\b(?:current (?:task|activit)|(?:main|primary|existing|ongoing|scheduled|initial|original) (?:\w+ )?"
    r"(?:task|dut|dutie|objective|assignment|project|responsibilit)|additional|another|extra"
    r"|new (?:\w+ )?(?:task|assignment|action)|halt|cease|stop everything|interrupt)",
    re.IGNORECASE,
)
OPENINGS = (
    "",
    "This matters to me, so please read carefully.",
    "",
    "Quick and urgent, my boss is waiting:",
    "",
    "Attention, the text is long, but I only need this:",
    "",
    "Important, before my meeting starts:",
    "",
    "Please focus on the next question, it is the one that counts.",
    "",
)
REQUESTS = (
    "Bitte beantworten Sie folgende Frage: Worum geht es in diesem Text?",
    "Veuillez répondre à la question suivante : de quoi parle ce texte ?",
    "Por favor responda la siguiente pregunta: ¿De qué trata este texto?",
    "Per favore rispondi alla seguente domanda: di cosa parla questo testo?",
    "الرجاء الإجابة على السؤال التالي: ما هو موضوع هذا النص؟",
    "Bitte fassen Sie diesen Text in zwei Sätzen zusammen.",
    "Veuillez résumer ce texte en deux phrases.",
    "Resuma este texto en dos frases, por favor.",
    "Per favore riassumi questo testo in due frasi.",
    "يرجى تلخيص هذا النص في جملتين.",
    "Welche Termine und Zahlen werden hier genannt?",
    "Quelles dates et quels chiffres sont mentionnés ici ?",
    "¿Qué fechas y cifras se mencionan aquí?",
    "Quali date e quali cifre sono citate qui?",
    "ما هي التواريخ والأرقام المذكورة هنا؟",
    "Übersetzen Sie diesen Text bitte ins Deutsche.",
    "Traduisez ce texte en français, s'il vous plaît.",
    "Por favor, traduzca este texto al español.",
    "Traduci questo testo in italiano, per favore.",
    "يرجى ترجمة هذا النص إلى العربية.",
    "Bitte beantworten Sie folgende Frage: Wer wird in diesem Text genannt?",
    "Veuillez répondre à la question suivante : qui est cité dans ce texte ?",
    "Por favor responda la siguiente pregunta: ¿A quién se menciona en este texto?",
    "Rispondi alla seguente domanda: chi viene nominato in questo testo?",
    "الرجاء الإجابة على السؤال التالي: من هم الأشخاص المذكورون في هذا النص؟",
)


def tasktracker(files: Sequence[InputFile]) -> Iterator[Record]:
    """Per document two planted rows, a clean one and one with a request; then phrases with a task alone."""
    known = {file.name: file for file in files}
    lead_ins, tasks = _lines(known[LEAD_INS]), _dealt(_lines(known[TASKS]))
    payloads = zip(cycle(lead_ins), cycle(tasks))
    requests = zip(cycle(OPENINGS), cycle(REQUESTS))
    for number, (file, document, parent) in zip(count(), _documents(files)):
        for turn in range(INJECTED_PER_DOCUMENT):
            text = plant(document, " ".join(next(payloads)), _position(number + turn), TRAINING_CHARACTERS)
            yield file.record(text, "direct_injection", "tasktracker_planted", parent)
        clean = excerpt(document, _position(number), TRAINING_CHARACTERS)
        yield file.record(clean, BENIGN, "tasktracker_clean", parent)
        request = " ".join(next(requests)).strip()
        text = plant(document, request, ("end", "start")[number % 2], TRAINING_CHARACTERS)
        yield file.record(text, BENIGN, "tasktracker_question", parent)
    for lead_in, task in zip(filter(COMMANDEERS.search, lead_ins), cycle(tasks)):
        parent = parent_of(known[LEAD_INS].source, lead_in)
        yield known[LEAD_INS].record(f"{lead_in} {task}", "direct_injection", "tasktracker_direct", parent)


def _position(number: int) -> str:
    return POSITIONS[number % len(POSITIONS)]


def _lines(file: InputFile) -> list[str]:
    """The distinct lines of a file, in its order."""
    lines = list(dict.fromkeys(line.strip() for line in file.text().splitlines() if line.strip()))
    if not lines:
        raise SourceError(f"{file.place}: holds no line")
    return lines


def _dealt(tasks: list[str]) -> list[str]:
    """The tasks, sorted by language upstream, one of each language in turn."""
    block = -(-len(tasks) // LANGUAGES)
    return [task for start in range(block) for task in tasks[start::block]]


def _documents(files: Sequence[InputFile]) -> Iterator[tuple[InputFile, str, str]]:
    """File, text and parent of each distinct document."""
    seen: set[str] = set()
    for file in files:
        if file.name in (LEAD_INS, TASKS):
            continue
        mails = file.name not in DOCUMENTS
        for text in _mails(file) if mails else (row.text("context") for row in file.rows()):
            if text in seen:
                file.dropped["repeated_document"] += 1
            else:
                seen.add(text)
                yield file, text, parent_of(file.source if mails else PARENTS, text)


def _mails(file: InputFile) -> Iterator[str]:
    """Mails as a person would see them: upstream has subject and body on one line."""
    for number, mail in enumerate(file.json().get("emails"), 1):
        parts = MAIL.fullmatch(mail) if isinstance(mail, str) else None
        if parts is None:
            raise SourceError(f"{file.place}: mail {number} is not 'Subject of the email: ... Body: ...'")
        yield f"Subject: {parts[1]}\n\n{parts[2].strip()}"
