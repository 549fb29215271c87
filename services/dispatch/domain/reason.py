"""The reasons a return may have, as data.

Errors:
    ReasonsError    a list that cannot be used; `.faults` names each place and reason
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, TypeAlias

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

CODE = r"^[a-z][a-z0-9_]{1,63}$"

Asked: TypeAlias = Literal["suggested_department"]
Reasons: TypeAlias = Mapping[str, "Reason"]  # by code, in the order of the list
Word = Annotated[str, Field(pattern=r"\S", max_length=200)]


class ReasonsError(ValueError):
    """A list of reasons that cannot be used."""

    def __init__(self, faults: Iterable[tuple[str, str]]) -> None:
        self.faults = tuple(faults)  # (place, reason)
        super().__init__("\n".join(f"{place}: {reason}" for place, reason in self.faults))


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Name(_Part):
    """What people read."""

    zh: Word
    en: Word


class Reason(_Part):
    """One reason; `asks`: fields that a return for it must fill in."""

    code: Annotated[str, Field(pattern=CODE)]
    name: Name
    asks: tuple[Asked, ...] = ()


class _List(_Part):
    reasons: Annotated[tuple[Reason, ...], Field(max_length=100)]


def read(text: str) -> Reasons:
    """The reasons that a YAML text lists. Raises: ReasonsError with every place and reason."""
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "file"
        raise ReasonsError([(place, getattr(error, "problem", None) or "not YAML")]) from None
    if not isinstance(raw, dict):
        raise ReasonsError([("file", "expected a mapping with reasons")])
    try:
        found = _List.model_validate(raw).reasons
    except ValidationError as error:
        raise ReasonsError((".".join(map(str, each["loc"])), each["msg"]) for each in error.errors()) from None
    if not found:
        raise ReasonsError([("reasons", "lists none")])
    twice = [code for code, count in Counter(each.code for each in found).items() if count > 1]
    if twice:
        raise ReasonsError(("reasons", f"code {code} stands here twice") for code in twice)
    return {each.code: each for each in found}
