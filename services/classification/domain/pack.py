"""The file form of a matrix (YAML), read with every wrong place named, keys inherited from the levels above."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from libs.shared.contracts.classification import JoinPolicy, SlaClass, Urgency
from libs.shared.contracts.intake import BusinessType, Channel, ComplaintObject

from .matrix import Department, Matrix, MatrixError, Problem, Role, Situation, Supervisor, problems
from .rule import ReviewRule, RiskRule, RiskWords, Rules, TypeWords
from .text import Phrase, normal

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster where libyaml is there
MAX_BYTES = 4 * 1024 * 1024  # of a pack file


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, str_min_length=1)


class _Cell(_Row):
    lead: str | None = None
    executing: tuple[str, ...] | None = Field(None, min_length=1)
    supervisor: str | None = None
    sla_class: SlaClass | None = None
    join_policy: JoinPolicy | None = None
    urgency: Urgency | None = None
    business_type: BusinessType | None = None
    complaint_object: ComplaintObject | None = None


class _SituationRow(_Cell):
    code: str = Field(max_length=32)
    name: str = Field(max_length=100)
    description: str = Field(max_length=1000)
    phrases: tuple[str, ...] = Field(min_length=1, max_length=50)


class _CategoryRow(_Row):
    code: str = Field(max_length=32)
    name: str = Field(max_length=100)
    defaults: _Cell = _Cell()
    situations: tuple[_SituationRow, ...] = Field(min_length=1)


class _GroupRow(_Row):
    name: str = Field(max_length=100)
    defaults: _Cell = _Cell()
    categories: tuple[_CategoryRow, ...] = Field(min_length=1)


class _ClassRow(_Row):
    code: str = Field(max_length=32)
    name: str = Field(max_length=100)
    defaults: _Cell = _Cell()
    groups: tuple[_GroupRow, ...] = Field(min_length=1)


class _DepartmentRow(_Row):
    code: str = Field(pattern=r"^[a-z0-9_-]{1,64}$")
    name: str = Field(max_length=100)
    role: Role


class _SupervisorRow(_Row):
    code: str = Field(pattern=r"^[a-z0-9_-]{1,64}$")
    name: str = Field(max_length=100)


class _TypeRow(_Row):
    type: BusinessType
    words: tuple[str, ...] = Field(min_length=1)


class _RiskWordsRow(_Row):
    points: int = Field(ge=1, le=100)
    words: tuple[str, ...] = Field(min_length=1)


class _RiskRow(_Row):
    high_from: int = Field(ge=1, le=1000)
    sensitive_points: int = Field(0, ge=0, le=100)
    complaint_points: int = Field(0, ge=0, le=100)
    channels: dict[Channel, int] = Field(default_factory=dict)
    words: tuple[_RiskWordsRow, ...] = ()


class _ReviewRow(_Row):
    probability: float = Field(ge=0, le=1)
    margin: float = Field(0.0, ge=0, le=1)


class _RulesRow(_Row):
    business_types: tuple[_TypeRow, ...] = ()
    internal_words: tuple[str, ...] = ()
    urgent_words: tuple[str, ...] = ()
    risk: _RiskRow
    review: _ReviewRow


class _Pack(_Row):
    name: str = Field(pattern=r"^[a-z0-9_]{1,64}$")
    version: str = Field(pattern=r"^[A-Za-z0-9._-]{1,32}$")
    title: str = Field(max_length=200)
    supervisors: tuple[_SupervisorRow, ...] = Field(min_length=1)
    departments: tuple[_DepartmentRow, ...] = Field(min_length=1)
    defaults: _Cell = _Cell()
    classes: tuple[_ClassRow, ...] = Field(min_length=1)
    rules: _RulesRow


def read(source: str | bytes) -> Matrix:
    """The matrix of a pack's text, or MatrixError naming every wrong place at once (bad YAML: line and column)."""
    if len(source) > MAX_BYTES:
        raise MatrixError((Problem("file", f"is larger than {MAX_BYTES} bytes"),))
    try:
        raw = yaml.load(source, Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "file"
        raise MatrixError((Problem(place, f"is not YAML: {getattr(error, 'problem', None) or error}"),)) from None
    try:
        pack = _Pack.model_validate(raw)
    except ValidationError as error:
        raise MatrixError(
            tuple(Problem(_place(raw, each["loc"]), each["msg"]) for each in error.errors()[:100])
        ) from None
    matrix, missing = _matrix(pack)
    found = missing or problems(matrix)
    if found:
        raise MatrixError(found)
    return matrix


def _place(raw: Any, location: Iterable[str | int]) -> str:
    """`classes[0].groups[1]…` with the code or name of the last row on the way, so that it is found in the file."""
    path, called, here = "", "", raw
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
        try:
            here = here[step]
        except (KeyError, IndexError, TypeError):
            here = None
        if isinstance(here, dict) and (name := here.get("code", here.get("name"))):
            called = f" ({name})"
    return (path or "file") + called


_INHERITED = tuple(_Cell.model_fields)


def _matrix(pack: _Pack) -> tuple[Matrix, tuple[Problem, ...]]:
    missing: list[Problem] = []
    situations: list[Situation] = []
    for each_class in pack.classes:
        for group in each_class.groups:
            for category in group.categories:
                above = (category.defaults, group.defaults, each_class.defaults, pack.defaults)
                for row in category.situations:
                    cell = {key: _nearest(key, (row, *above)) for key in _INHERITED}
                    absent = [key for key, value in cell.items() if value is None]
                    missing += [Problem(f"situation {row.code}.{key}", "is given at no level") for key in absent]
                    path = (each_class.name, group.name, category.name)
                    if not absent:
                        situations.append(
                            Situation(
                                code=row.code,
                                name=row.name,
                                description=row.description,
                                phrases=tuple(map(Phrase.of, row.phrases)),
                                path=path,
                                category=category.code,
                                **cell,
                            )
                        )
    digest = hashlib.sha256(json.dumps(pack.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()[:8]
    matrix = Matrix(
        version=f"{pack.name}-{pack.version}-{digest}",
        name=pack.name,
        title=pack.title,
        departments=tuple(Department(row.code, row.name, row.role) for row in pack.departments),
        supervisors=tuple(Supervisor(row.code, row.name) for row in pack.supervisors),
        situations=tuple(situations),
        rules=_rules(pack.rules),
    )
    categories = [category.code for c in pack.classes for group in c.groups for category in group.categories]
    missing += [
        Problem(f"category {code}", "stands there more than once")
        for code in set(categories)
        if categories.count(code) > 1
    ]
    missing += [
        Problem(f"situation {situation.code}.phrases", f"'{phrase.text}' is too short: two characters at least")
        for situation in situations
        for phrase in situation.phrases
        if sum(map(len, phrase.pieces)) < 2
    ]
    return matrix, tuple(missing)


def _nearest(key: str, levels: Iterable[_Cell]) -> Any:
    return next((value for level in levels if (value := getattr(level, key)) is not None), None)


def _words(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(map(normal, words))


def _rules(row: _RulesRow) -> Rules:
    return Rules(
        business_types=tuple(TypeWords(each.type, _words(each.words)) for each in row.business_types),
        internal_words=_words(row.internal_words),
        urgent_words=_words(row.urgent_words),
        risk=RiskRule(
            high_from=row.risk.high_from,
            sensitive_points=row.risk.sensitive_points,
            complaint_points=row.risk.complaint_points,
            channels=tuple(row.risk.channels.items()),
            words=tuple(RiskWords(each.points, _words(each.words)) for each in row.risk.words),
        ),
        review=ReviewRule(row.review.probability, row.review.margin),
    )
