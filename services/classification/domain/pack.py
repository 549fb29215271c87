"""The file form of a matrix (YAML), read with every wrong place named, keys inherited from the levels above."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from datetime import date
from itertools import groupby
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from libs.shared.contracts.classification import JoinPolicy, SlaClass, Urgency
from libs.shared.contracts.intake import BusinessType, Channel, ComplaintObject, Star

from .cumulative import LONGEST, CumulativeRule, Per
from .matrix import Department, Matrix, MatrixError, Post, Problem, Role, Situation, Supervisor, problems
from .place import Area
from .route import TIMEZONE, Calendar, Hours, Route
from .rule import HotEventRule, PairRule, RepeatRule, ReviewRule, RiskRule, RiskWords, Rules, TypeWords
from .text import Phrase, normal

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster where libyaml is there
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
ABSENT = "is given at no level"
MAX_BYTES = 4 * 1024 * 1024  # of a pack file


# What stands in lists: a cell of a sheet holds several of them, so they may not hold what parts them there.
Word = Annotated[str, Field(pattern=r"^[^\n;；]+$")]


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("is no time zone such as Asia/Shanghai") from None
    return name


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
    phrases: tuple[Word, ...] = Field(min_length=1, max_length=50)


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


# A cell of a sheet holds a post on one line: its name, then its hours, then whether it is by telephone only.
_after_name = re.compile(r"\s(\d\d:\d\d-\d\d:\d\d|仅电话)$")


def _post_name(name: str) -> str:
    if _after_name.search(name):
        raise ValueError("ends as hours or 仅电话 do: give them as hours, and inbox: false")
    return name


class _PostRow(_Row):
    name: Annotated[Word, Field(max_length=50), AfterValidator(_post_name)]
    hours: str | None = Field(None, pattern=r"^([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)$")
    inbox: bool = True


class _DepartmentRow(_Row):
    code: str = Field(pattern=r"^[a-z0-9_-]{1,64}$")
    name: str = Field(max_length=100)
    role: Role
    posts: tuple[_PostRow, ...] = Field((), max_length=20)
    webhook: bool = False


class _SupervisorRow(_Row):
    code: str = Field(pattern=r"^[a-z0-9_-]{1,64}$")
    name: str = Field(max_length=100)


class _TypeRow(_Row):
    type: BusinessType
    words: tuple[Word, ...] = Field(min_length=1)


class _RiskWordsRow(_Row):
    points: int = Field(ge=1, le=100)
    words: tuple[Word, ...] = Field(min_length=1)


class _RiskRow(_Row):
    high_from: int = Field(ge=1, le=1000)
    sensitive_points: int = Field(0, ge=0, le=100)
    complaint_points: int = Field(0, ge=0, le=100)
    channels: dict[Channel, int] = Field(default_factory=dict)
    words: tuple[_RiskWordsRow, ...] = ()
    repeat_points: int = Field(0, ge=0, le=100)


_Minutes = Annotated[int, Field(ge=1, le=43_200)]
_USUAL = ReviewRule(0, 0)


class _ReviewRow(_Row):
    probability: float = Field(ge=0, le=1)
    margin: float = Field(0.0, ge=0, le=1)
    minutes: _Minutes = _USUAL.minutes
    urgent_minutes: _Minutes = _USUAL.urgent_minutes
    high_risk_minutes: _Minutes = _USUAL.high_risk_minutes
    channel_minutes: dict[Channel, _Minutes] = Field(default_factory=dict)
    star_minutes: dict[Star, _Minutes] = Field(default_factory=dict)


_REPEAT, _HOT_EVENT = RepeatRule(), HotEventRule()  # what holds where a pack says nothing


class _RepeatRow(_Row):
    days: int = Field(_REPEAT.days, ge=1, le=60)
    customer: float = Field(_REPEAT.customer, gt=0, le=1)
    place: float = Field(_REPEAT.place, gt=0, le=1)
    area: float = Field(_REPEAT.area, gt=0, le=1)


class _HotEventRow(_Row):
    least: int = Field(_HOT_EVENT.least, ge=3, le=1000)
    minutes: int = Field(_HOT_EVENT.minutes, ge=5, le=1440)
    times: float = Field(_HOT_EVENT.times, ge=1, le=1000)
    alike: float = Field(_HOT_EVENT.alike, gt=0, le=1)
    place_digits: int = Field(_HOT_EVENT.place_digits, ge=1, le=12)
    calm_minutes: int = Field(_HOT_EVENT.calm_minutes, ge=5, le=10_080)
    fold_from: int = Field(_HOT_EVENT.fold_from, ge=0, le=100_000)


_PAIR = PairRule()
_Times = Annotated[float, Field(ge=1, le=10_000, allow_inf_nan=False)]
_Share = Annotated[float, Field(gt=0, le=1)]


class _PairRow(_Row):
    chosen: _Times = _PAIR.chosen
    spoken: _Times = _PAIR.spoken
    other: _Share = _PAIR.other
    words: dict[BusinessType, _Times] = Field(default_factory=dict)
    comes_as: dict[BusinessType, dict[BusinessType, _Share]] = Field(default_factory=dict)


class _RulesRow(_Row):
    business_types: tuple[_TypeRow, ...] = ()
    internal_words: tuple[Word, ...] = ()
    urgent_words: tuple[Word, ...] = ()
    risk: _RiskRow
    review: _ReviewRow
    repeat: _RepeatRow = _RepeatRow()
    hot_event: _HotEventRow = _HotEventRow()
    pair: _PairRow | None = None


class _HoursRow(_Row):
    days: tuple[Annotated[int, Field(ge=1, le=7)], ...] = Field(min_length=1)
    start: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    end: str = Field(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")

    @model_validator(mode="after")
    def _ordered(self) -> "_HoursRow":
        if self.end <= self.start:
            raise ValueError("end lies before start: give a night as two, to 24:00 and from 00:00")
        return self


Day = Annotated[str, AfterValidator(lambda value: date.fromisoformat(value).isoformat())]


Code = Annotated[str, Field(pattern=r"^\d{2,12}$")]  # of an administrative division


class _AreaRow(_Row):
    code: Code
    names: tuple[Annotated[Word, Field(min_length=2, max_length=50)], ...] = Field(min_length=1)


class _CalendarRow(_Row):
    code: str = Field(pattern=r"^[a-z0-9_-]{1,64}$")
    name: str = Field(max_length=100)
    hours: tuple[_HoursRow, ...] = Field(min_length=1)
    off: tuple[Day, ...] = ()
    on: tuple[Day, ...] = ()


Codes = Annotated[tuple[str, ...], Field(min_length=1)]


class _RouteRow(_Row):
    code: str = Field(max_length=32)
    name: str = Field(max_length=100)
    of: tuple[str, ...] = ()
    instead_of: str | None = None
    areas: dict[Code, Codes] = Field(default_factory=dict)
    executing: tuple[str, ...] = ()
    stars: tuple[Annotated[int, Field(ge=1, le=5)], ...] = ()
    sensitive: bool | None = None
    on_duty: str | None = None
    off_duty: str | None = None


_APART = CumulativeRule("", "", (), "area", 0, 0).apart_hours


class _CumulativeRow(_Row):
    code: str = Field(max_length=32)
    name: str = Field(max_length=100)
    of: Codes
    per: Per
    times: int = Field(ge=2, le=100)
    days: int = Field(ge=1, le=LONGEST)
    digits: int | None = Field(None, ge=2, le=12)
    apart_hours: int = Field(_APART, ge=1, le=720)
    situation: str | None = None


class _Pack(_Row):
    name: str = Field(pattern=r"^[a-z0-9_]{1,64}$")
    version: str = Field(pattern=r"^[A-Za-z0-9._-]{1,32}$")
    title: str = Field(max_length=200)
    supervisors: tuple[_SupervisorRow, ...] = Field(min_length=1)
    departments: tuple[_DepartmentRow, ...] = Field(min_length=1)
    defaults: _Cell = _Cell()
    classes: tuple[_ClassRow, ...] = Field(min_length=1)
    timezone: Annotated[str, AfterValidator(_zone)] = TIMEZONE
    calendars: tuple[_CalendarRow, ...] = ()
    routes: tuple[_RouteRow, ...] = ()
    areas: tuple[_AreaRow, ...] = ()
    cumulative: tuple[_CumulativeRow, ...] = ()
    rules: _RulesRow


Location = tuple[str | int, ...]  # of a value in the file's form: ("classes", 0, "groups", 1, "name")
Spot = Callable[[Location], str]  # where that stands in the file, for people


def read(source: str | bytes) -> Matrix:
    """The matrix of a pack's YAML, or MatrixError naming every wrong place at once (with its line)."""
    if len(source) > MAX_BYTES:
        raise MatrixError((Problem("file", f"is larger than {MAX_BYTES} bytes"),))
    try:
        loader = _Loader(source)
        node = loader.get_single_node()
        raw = loader.construct_document(node) if node else None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "file"
        raise MatrixError((Problem(place, f"is not YAML: {getattr(error, 'problem', None) or error}"),)) from None
    return build(raw, lambda location: _line(node, location))


def build(raw: Any, spot: Spot) -> Matrix:
    """The matrix of a pack's form, or MatrixError naming every wrong place at once."""
    matrix, found = examine(raw, spot)
    if found:
        raise MatrixError(found)
    return matrix


def examine(raw: Any, spot: Spot = lambda _: "") -> tuple[Matrix, tuple[Problem, ...]]:
    """The matrix of a form, as far as it goes, and all that keeps it from being used.

    Raises: MatrixError where the form itself cannot be read.
    """
    try:
        storable = "\\u0000" not in json.dumps(raw, default=str, skipkeys=True)
        json.dumps(raw, default=str, skipkeys=True, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        storable = False
    if not storable:
        raise MatrixError((Problem("file", "holds a NUL character or half a character"),))
    try:
        pack = _Pack.model_validate(raw)
    except ValidationError as error:
        raise MatrixError(
            tuple(Problem(_place(raw, each["loc"]), each["msg"], spot(each["loc"])) for each in error.errors()[:100])
        ) from None
    matrix, found = _matrix(pack)
    if not any(each.reason == ABSENT for each in found):
        found += problems(matrix)
    places = _places(pack) if found else {}
    return matrix, tuple(replace(each, spot=spot(places.get(each.place, ()))) for each in found)


def write(raw: dict[str, Any]) -> str:
    """A form as YAML; of a matrix's full form `read` makes the same matrix again."""
    return str(yaml.dump(raw, Dumper=_Dumper, allow_unicode=True, sort_keys=False, default_flow_style=None, width=118))


def form(matrix: Matrix) -> dict[str, Any]:
    """The full form of a matrix: what `build` takes, nothing inherited."""
    classes: list[dict[str, Any]] = []
    for each_class, of_class in _runs(matrix.situations, lambda s: (s.class_code, s.path[0])):
        groups = []
        for group, of_group in _runs(of_class, lambda s: (s.path[1],)):
            categories = [
                {"code": category[0], "name": category[1], "situations": [_situation(each) for each in of_category]}
                for category, of_category in _runs(of_group, lambda s: (s.category, s.path[2]))
            ]
            groups.append({"name": group[0], "categories": categories})
        classes.append({"code": each_class[0], "name": each_class[1], "groups": groups})
    return {
        "name": matrix.name,
        "version": matrix.edition,
        "title": matrix.title,
        "supervisors": [{"code": each.code, "name": each.name} for each in matrix.supervisors],
        "departments": [_department(each) for each in matrix.departments],
        "classes": classes,
        **_routes_form(matrix),
        "rules": _rules_form(matrix.rules),
    }


def _department(department: Department) -> dict[str, Any]:
    posts = []
    for post in department.posts:
        hours = {"hours": post.hours} if post.hours else {}
        posts.append({"name": post.name, **hours, **({} if post.inbox else {"inbox": False})})
    webhook = {"webhook": True} if department.webhook else {}
    return {"code": department.code, "name": department.name, "role": department.role, "posts": posts, **webhook}


def _routes_form(matrix: Matrix) -> dict[str, Any]:
    """What chooses departments by place, customer and time, finds places and cumulative problems, where it is there."""
    calendars = [
        {
            "code": each.code,
            "name": each.name,
            "hours": [{"days": list(at.days), "start": at.start, "end": at.end} for at in each.hours],
            "off": list(each.off),
            "on": list(each.on),
        }
        for each in matrix.calendars
    ]
    routes = []
    for each in matrix.routes:
        cells = {name: _plain(getattr(each, name)) for name in _RouteRow.model_fields if name != "areas"}
        cells["areas"] = {prefix: list(codes) for prefix, codes in each.areas}
        routes.append({name: value for name, value in cells.items() if value not in (None, [], {})})
    areas = [{"code": each.code, "names": list(each.names)} for each in matrix.areas]
    cumulative = [
        {name: _plain(value) for name, value in asdict(each).items() if value is not None} for each in matrix.cumulative
    ]
    found = {"calendars": calendars, "routes": routes, "areas": areas, "cumulative": cumulative}
    zone = {"timezone": matrix.timezone} if matrix.timezone != TIMEZONE else {}
    return zone | {name: rows for name, rows in found.items() if rows}


def _runs(
    situations: Iterable[Situation], key: Callable[[Situation], tuple[str, ...]]
) -> Iterator[tuple[tuple[str, ...], list[Situation]]]:
    return ((name, list(run)) for name, run in groupby(situations, key))


def _situation(situation: Situation) -> dict[str, Any]:
    return {
        "code": situation.code,
        "name": situation.name,
        "description": situation.description,
        "phrases": [phrase.text for phrase in situation.phrases],
        **{key: _plain(getattr(situation, key)) for key in _INHERITED},
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _line(node: Any, location: Location) -> str:
    """The line where a value stands, or what is above it where it is missing."""
    for step in location:
        if isinstance(node, yaml.MappingNode):
            below = next((value for key, value in node.value if key.value == str(step)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            below = node.value[step]
        else:
            below = None
        if below is None:
            break
        node = below
    return f"line {node.start_mark.line + 1}" if node else ""


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
CELLS = ("name", "description", "phrases", *_INHERITED)  # of a situation, beside its code


def _places(pack: _Pack) -> dict[str, Location]:
    """Where in the form stands what a Problem calls its place; of repeats the last one."""
    found: dict[str, Location] = {}
    rows: tuple[_DepartmentRow | _SupervisorRow, ...] = (*pack.departments, *pack.supervisors)
    for index, each in enumerate(rows):
        kind = "department" if isinstance(each, _DepartmentRow) else "supervisor"
        here: Location = (f"{kind}s", index if kind == "department" else index - len(pack.departments))
        found |= {f"{kind} {each.code}": here, f"{kind} code '{each.code}'": here, f"{kind} name '{each.name}'": here}
        found[f"{kind} {each.code}.posts"] = (*here, "posts")
    for index, rule in enumerate(pack.routes):
        here = ("routes", index)
        found |= {f"route {rule.code}": here, f"route code '{rule.code}'": here, f"route {rule.code}.of": (*here, "of")}
    found |= {f"area code '{area.code}'": ("areas", index) for index, area in enumerate(pack.areas)}
    for index, counted in enumerate(pack.cumulative):
        here, called = ("cumulative", index), f"cumulative {counted.code}"
        found |= {f"cumulative code '{counted.code}'": here}
        found |= {f"{called}.{key}": (*here, key) for key in ("of", "digits", "situation")}
    for index, calendar in enumerate(pack.calendars):
        here = ("calendars", index)
        found |= {f"calendar {calendar.code}": here, f"calendar code '{calendar.code}'": here}
    for location, category, above in _categories(pack):
        found[f"category {category.code}"] = location
        for index, row in enumerate(category.situations):
            here = (*location, "situations", index)
            found |= {f"situation code '{row.code}'": here, f"situation name '{row.name}'": here}
            found[f"situation {row.code}.phrases"] = (*here, "phrases")
            for key in _INHERITED:
                levels = ((here, row), *above)
                giver = next((place for place, level in levels if getattr(level, key) is not None), here)
                found[f"situation {row.code}.{key}"] = (*giver, key)
    return found


def _categories(pack: _Pack) -> Iterator[tuple[Location, _CategoryRow, tuple[tuple[Location, _Cell], ...]]]:
    """Every level-3 category: where it stands, its row, and the defaults that hold for it, the nearest first."""
    for c, each_class in enumerate(pack.classes):
        for g, group in enumerate(each_class.groups):
            for k, category in enumerate(group.categories):
                of_class: Location = ("classes", c)
                of_group: Location = (*of_class, "groups", g)
                here: Location = (*of_group, "categories", k)
                yield (
                    here,
                    category,
                    (
                        ((*here, "defaults"), category.defaults),
                        ((*of_group, "defaults"), group.defaults),
                        ((*of_class, "defaults"), each_class.defaults),
                        (("defaults",), pack.defaults),
                    ),
                )


def _matrix(pack: _Pack) -> tuple[Matrix, tuple[Problem, ...]]:
    missing: list[Problem] = []
    situations: list[Situation] = []
    categories: list[str] = []
    for location, category, above in _categories(pack):
        each_class = pack.classes[int(location[1])]
        group = each_class.groups[int(location[3])]
        categories.append(category.code)
        for row in category.situations:
            cell = {key: _nearest(key, (row, *(level for _, level in above))) for key in _INHERITED}
            absent = [key for key, value in cell.items() if value is None]
            missing += [Problem(f"situation {row.code}.{key}", ABSENT) for key in absent]
            if not absent:
                situations.append(
                    Situation(
                        code=row.code,
                        name=row.name,
                        description=row.description,
                        phrases=tuple(map(Phrase.of, row.phrases)),
                        path=(each_class.name, group.name, category.name),
                        class_code=each_class.code,
                        category=category.code,
                        **cell,
                    )
                )
    matrix = Matrix(
        version="",
        name=pack.name,
        edition=pack.version,
        title=pack.title,
        departments=tuple(
            Department(
                row.code,
                row.name,
                row.role,
                tuple(Post(post.name, post.hours or "", post.inbox) for post in row.posts),
                row.webhook,
            )
            for row in pack.departments
        ),
        supervisors=tuple(Supervisor(row.code, row.name) for row in pack.supervisors),
        situations=tuple(situations),
        rules=_rules(pack.rules),
        calendars=tuple(
            Calendar(row.code, row.name, tuple(Hours(at.days, at.start, at.end) for at in row.hours), row.off, row.on)
            for row in pack.calendars
        ),
        routes=tuple(Route(**dict(row) | {"areas": tuple(row.areas.items())}) for row in pack.routes),
        timezone=pack.timezone,
        areas=tuple(Area(row.code, row.names) for row in pack.areas),
        cumulative=tuple(CumulativeRule(**dict(row)) for row in pack.cumulative),
    )
    missing += [
        Problem(f"category {code}", "stands there more than once")
        for code in sorted(set(categories))
        if categories.count(code) > 1
    ]
    missing += [
        Problem(f"situation {situation.code}.phrases", f"'{phrase.text}' is too short: two characters at least")
        for situation in situations
        for phrase in situation.phrases
        if sum(map(len, phrase.pieces)) < 2
    ]
    digest = hashlib.sha256(json.dumps(form(matrix), sort_keys=True).encode()).hexdigest()[:8]
    return replace(matrix, version=f"{pack.name}-{pack.version}-{digest}"), tuple(missing)


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
            repeat_points=row.risk.repeat_points,
        ),
        review=ReviewRule(
            probability=row.review.probability,
            margin=row.review.margin,
            minutes=row.review.minutes,
            urgent_minutes=row.review.urgent_minutes,
            high_risk_minutes=row.review.high_risk_minutes,
            channel_minutes=tuple(row.review.channel_minutes.items()),
            star_minutes=tuple(row.review.star_minutes.items()),
        ),
        repeat=RepeatRule(**row.repeat.model_dump()),
        hot_event=HotEventRule(**row.hot_event.model_dump()),
        pair=_pair(row.pair),
    )


def _pair(row: _PairRow | None) -> PairRule:
    if row is None:
        return _PAIR
    return PairRule(
        chosen=row.chosen,
        spoken=row.spoken,
        other=row.other,
        words=tuple(row.words.items()),
        comes_as=tuple((usual, tuple(others.items())) for usual, others in row.comes_as.items() if others),
    )


def _rules_form(rules: Rules) -> dict[str, Any]:
    risk, review = rules.risk, rules.review
    return {
        "business_types": [{"type": each.type, "words": list(each.words)} for each in rules.business_types],
        "internal_words": list(rules.internal_words),
        "urgent_words": list(rules.urgent_words),
        "risk": {
            "high_from": risk.high_from,
            "sensitive_points": risk.sensitive_points,
            "complaint_points": risk.complaint_points,
            "channels": dict(risk.channels),
            "words": [{"points": each.points, "words": list(each.words)} for each in risk.words],
            # Rules that came later stand there only where they say something: older versions keep their digests.
            **({"repeat_points": risk.repeat_points} if risk.repeat_points else {}),
        },
        "review": {
            "probability": review.probability,
            "margin": review.margin,
            "minutes": review.minutes,
            "urgent_minutes": review.urgent_minutes,
            "high_risk_minutes": review.high_risk_minutes,
            "channel_minutes": dict(review.channel_minutes),
            "star_minutes": {str(star): minutes for star, minutes in review.star_minutes},  # JSON has no other keys
        },
        **({"repeat": asdict(rules.repeat)} if rules.repeat != _REPEAT else {}),
        **({"hot_event": asdict(rules.hot_event)} if rules.hot_event != _HOT_EVENT else {}),
        **({"pair": _pair_form(rules.pair)} if rules.pair != _PAIR else {}),
    }


def _pair_form(pair: PairRule) -> dict[str, Any]:
    return {
        "chosen": pair.chosen,
        "spoken": pair.spoken,
        "other": pair.other,
        "words": dict(pair.words),
        "comes_as": {usual: dict(others) for usual, others in pair.comes_as},
    }
