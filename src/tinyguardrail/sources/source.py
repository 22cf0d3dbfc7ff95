"""What a row of `sources.yaml` says of a source."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tinyguardrail.data.labels import BENIGN, INTENTS, LABEL_OF_INTENT
from tinyguardrail.data.records import Record
from tinyguardrail.sources.language import LANGUAGES
from tinyguardrail_common.errors import UserError
from tinyguardrail_common.param_types import Count, Strict

DETECT = "detect"  # a row's language until `clean` replaces it
BUILTIN_LOADERS = ("authored", "docstrings", "code")  # of what the repository or the packages hold
PINNED = re.compile(r"https?://\S+/[0-9a-f]{40}/\S+")
PINNED_ARCHIVE = r"https?://\S+/[0-9a-f]{40}"

Text = Annotated[str, Field(min_length=1)]
Language = Annotated[str, Field(pattern=f"^({'|'.join((*LANGUAGES, DETECT))})$")]


class SourceError(UserError):
    """A source that is unknown, cannot be had, or does not hold what it should."""


class Derived(Strict):
    """How a file is joined from many small ones of a repository, where no mirror holds it."""

    archive: Annotated[str, Field(pattern=f"^{PINNED_ARCHIVE}$")]  # .tar.gz of a commit
    rule: Text  # one of `derivation.RULES`


class SourceFile(Strict):
    """A file of a source: at an address, or derived from files of a repository.

    Rows of `test` files stay a test set, rows of `dev` files one that settings are chosen on; `reference`
    files give no rows.
    """

    name: Text
    role: Literal["train", "dev", "test", "validation", "reference"]
    url: str | None = None
    derived: Derived | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    bytes: Count | None = None
    language: Language | None = None  # where it differs from the source's

    @model_validator(mode="after")
    def pinned_or_handed_out(self) -> Self:
        if self.url and self.derived:
            raise ValueError("takes url or derived, not both")
        given = [value is not None for value in (self.url or self.derived, self.sha256, self.bytes)]
        if any(given) and not all(given):
            raise ValueError("needs url, sha256 and bytes, or none of them")
        if self.url is not None and not PINNED.fullmatch(self.url):
            raise ValueError(f"url {self.url!r} is not pinned to a commit")
        return self


class Hub(Strict):
    """A data set on the Hugging Face hub; the revision identifies its content."""

    path: Text
    config: Text
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    split: Text


class Source(Strict):
    """A registered source."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    title: Text
    licence: Text
    page: str | None = None
    about: Text
    label_rule: Text
    threats: dict[Text, Literal[INTENTS[1:]]] = Field(default_factory=dict)  # by family, of rows not benign
    loader: Text  # module.function of `loaders`, or one of `BUILTIN_LOADERS`
    language: Language  # of all its rows, or `detect`
    access: Literal["open", "gated", "on_request"]
    kind: Literal["classification", "language_model", "builtin"]  # what the rows are for
    files: list[SourceFile] = Field(default_factory=list)
    hub: Hub | None = None

    @model_validator(mode="after")
    def says_where_it_is(self) -> Self:
        if self.loader in BUILTIN_LOADERS:
            if self.files or self.hub:
                raise ValueError(f"the loader {self.loader} needs no download: it takes no files and no hub")
            return self
        if self.page is None:
            raise ValueError("page is missing")
        if bool(self.files) == bool(self.hub):
            raise ValueError("needs either files or hub")
        roles = {file.role for file in self.files} - {"reference"}
        if "dev" in roles and len(roles) > 1:
            raise ValueError(f"a dev source is neither trained on nor a test, but files have {sorted(roles)}")
        if self.access != "on_request" and any(file.sha256 is None for file in self.files):
            raise ValueError("every file needs url, sha256 and bytes, unless access is on_request")
        if len({file.name for file in self.files}) != len(self.files):
            raise ValueError("file names must all differ")
        return self

    def intent_of(self, record: Record) -> str:
        """What a row is after, by its family.

        Raises:
            SourceError: `threats` lacks the family of a row that is not benign, or contradicts its label.
        """
        if record.label == BENIGN:
            return BENIGN
        intent = self.threats.get(record.family)
        if intent is None:
            raise SourceError(
                f"source {self.name}: threats says nothing of family {record.family}, whose rows are "
                f"{record.label}; add it with one of {', '.join(INTENTS[1:])}"
            )
        if LABEL_OF_INTENT[intent] != record.label:
            raise SourceError(
                f"source {self.name}: threats calls family {record.family} {intent}, but its rows are "
                f"{record.label}"
            )
        return intent

    @property
    def inputs(self) -> list[SourceFile]:
        """The files that the loader reads; a hub set comes as one parquet file."""
        if self.hub is None:
            return self.files
        return [SourceFile(name=f"{self.hub.config}-{self.hub.split}.parquet", role="train")]
