"""The words of notices: one file per language, checked when the process starts; filling in never evaluates anything.

Errors:
    TemplateError   a template file is incomplete or names what no notice has; `.faults` names each place
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import yaml

from libs.shared.contracts.classification import Urgency
from libs.shared.contracts.notification import Kind
from libs.shared.contracts.sla_timer import ClockKind, Level
from services.notification.domain.notice import KINDS

Language = Literal["zh-CN", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")

_CLOCK = frozenset({"clock", "department", "percent", "limit"})
PLACEHOLDERS: dict[Kind, frozenset[str]] = {
    "ticket_answered": frozenset({"title", "external_ref", "departments", "answers"}),
    "question_asked": frozenset({"department", "text"}),
    "question_answered": frozenset({"department", "text"}),
    "review_requested": frozenset({"urgency", "candidates"}),
    "delivery_failed": frozenset({"department", "attempts", "reason"}),
    "work_order_returned": frozenset({"department", "reason", "suggestion"}),
    "clock_warned": _CLOCK,
    "clock_breached": _CLOCK,
    "escalated": _CLOCK | {"level"},
    "ticket_reopened": frozenset({"reason"}),
    "cell_disputed": frozenset({"situation", "department", "assigned", "upheld", "matrix_wrong", "suggestion"}),
    "ticket_merged": frozenset({"title", "members", "into", "by", "reason"}),
    "ticket_released": frozenset({"by", "reason"}),
    "high_risk": frozenset({"title", "situation", "channel", "star", "repeats"}),
}
WORDS: dict[str, tuple[str, ...]] = {
    "clock": get_args(ClockKind),
    "level": get_args(Level),
    "urgency": get_args(Urgency),
    "reason": ("accept_clock", "exhausted", "endpoint_disabled"),
    "unit": ("d", "h", "min", "s"),
    "mark": ("list", "answer", "none"),
    "into": ("hot_event", "ticket"),
}


class TemplateError(ValueError):
    """Template files that cannot be used."""

    def __init__(self, faults: Iterable[tuple[str, str]]) -> None:
        self.faults = tuple(faults)  # (place, reason)
        super().__init__("\n".join(f"{place}: {reason}" for place, reason in self.faults))


@dataclass(frozen=True, slots=True)
class Templates:
    """One language."""

    words: Mapping[str, Mapping[str, str]]
    titles: Mapping[str, str]  # by kind
    texts: Mapping[str, str]

    def render(self, kind: str, data: Mapping[str, Any]) -> tuple[str, str]:
        """Title and text of a notice. Never fails: what an older or newer release did not store is left empty."""
        filled = self._fill(kind, data)
        return _filled(self.titles.get(kind, kind), filled), _filled(self.texts.get(kind, ""), filled)

    def _fill(self, kind: str, data: Mapping[str, Any]) -> dict[str, str]:
        mark = self.words["mark"]
        filled = {name: str(value) for name, value in data.items() if isinstance(value, str | int)}
        for name in ("clock", "level", "urgency"):
            filled[name] = self.words[name].get(filled.get(name, ""), "")
        match kind:
            case "ticket_answered":
                answers = data.get("answers", [])
                filled["departments"] = mark["list"].join(each["department"] for each in answers)
                filled["answers"] = "\n".join(_filled(mark["answer"], each) for each in answers)
            case "review_requested":
                names = [f"{each['name']} {each['probability']:.0%}" for each in data.get("candidates", [])]
                filled["candidates"] = mark["list"].join(names) or mark["none"]
            case "delivery_failed":
                filled["reason"] = self.words["reason"].get(filled.get("reason", ""), filled.get("reason", ""))
            case "work_order_returned" | "cell_disputed":
                filled["suggestion"] = data.get("suggested_department") or mark["none"]
            case "ticket_merged" | "ticket_released":
                filled["into"] = self.words["into"]["hot_event" if data.get("hot_event") else "ticket"]
                filled["reason"] = data.get("reason") or mark["none"]
            case "clock_warned" | "clock_breached" | "escalated":
                filled["limit"] = self._length(data.get("limit_seconds", 0))
        return filled

    def _length(self, seconds: int) -> str:
        for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
            if seconds >= size and seconds % size == 0:
                return f"{seconds // size} {self.words['unit'][unit]}"
        return f"{seconds} {self.words['unit']['s']}"


def _filled(template: str, values: Mapping[str, str]) -> str:
    """What is filled in is never looked at again, so a customer's braces stay braces."""
    return PLACEHOLDER.sub(lambda found: values.get(found[1], ""), template)


def read(texts: Mapping[Language, str]) -> dict[Language, Templates]:
    """The templates of every language from their YAML texts.

    Raises: TemplateError: a language, kind or word that is missing, unknown or empty; a placeholder the kind lacks.
    """
    faults: list[tuple[str, str]] = []
    read_: dict[Language, Templates] = {}
    for language in LANGUAGES:
        try:
            raw = yaml.safe_load(texts.get(language, ""))
        except yaml.YAMLError as error:
            faults.append((language, f"not YAML: {' '.join(str(error).split())}"))
            continue
        if not isinstance(raw, dict) or set(raw) != {"words", "notices"}:
            faults.append((language, "expected a mapping with words and notices"))
            continue
        wrong = [*_table(f"{language}.words", raw["words"], WORDS), *_notices(language, raw["notices"])]
        faults += wrong
        if not wrong:
            notices = raw["notices"]
            read_[language] = Templates(
                words=raw["words"],
                titles={kind: notices[kind]["title"] for kind in KINDS},
                texts={kind: notices[kind]["text"] for kind in KINDS},
            )
    if faults:
        raise TemplateError(faults)
    return read_


def _table(place: str, found: Any, wanted: Mapping[str, Iterable[str]]) -> Iterable[tuple[str, str]]:
    """Faults of a table of tables of words."""
    if not isinstance(found, dict):
        yield place, "expected a mapping"
        return
    for name in [*wanted, *(each for each in found if each not in wanted)]:
        if name not in found:
            yield f"{place}.{name}", "is missing"
        elif name not in wanted:
            yield f"{place}.{name}", f"is not known; known are {', '.join(wanted)}"
        elif not isinstance(found[name], dict) or set(found[name]) != set(wanted[name]):
            yield f"{place}.{name}", f"expected exactly {', '.join(wanted[name])}"
        else:
            for key, text in found[name].items():
                if not isinstance(text, str) or not text:
                    yield f"{place}.{name}.{key}", "expected a text"


def _notices(language: str, found: Any) -> Iterable[tuple[str, str]]:
    faults = list(_table(f"{language}.notices", found, dict.fromkeys(KINDS, ("title", "text"))))
    yield from faults
    if faults:
        return
    for kind in KINDS:
        for part in ("title", "text"):
            text, place = found[kind][part], f"{language}.notices.{kind}.{part}"
            for name in PLACEHOLDER.findall(text):
                if name not in PLACEHOLDERS[kind]:
                    yield place, f"{{{name}}} is not known; known are {', '.join(sorted(PLACEHOLDERS[kind]))}"
            if "{" in PLACEHOLDER.sub("", text) or "}" in PLACEHOLDER.sub("", text):
                yield place, "a brace stands alone"
