"""What a simulation is told to play: departments, where Zhida is, how each behaves. Read from a JSON file."""

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

Read = TypeVar("Read")


class PlanUnreadable(Exception):
    """The plan is wrong; `str()` names the field and the reason."""


@dataclass(frozen=True, slots=True)
class Delay:
    """How long a department takes for a step: log-normal around `median`, cut at `longest`."""

    median: float  # seconds
    spread: float = 0.5  # sigma of the logarithm; 0: always the median
    longest: float = 3600.0  # seconds


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a department behaves. Shares are 0-1: of work orders, or of webhook attempts where it says so."""

    accept_after: Delay = Delay(0.2)
    contact_after: Delay = Delay(0.3)
    answer_after: Delay = Delay(1.0)
    reply_after: Delay = Delay(0.5)  # to an agent's question
    rule_after: Delay = Delay(0.5)  # on a return, as lead department
    returns: float = 0.0  # sent back as not ours; not what a ruling has brought here
    suggests: tuple[str, ...] = ()  # departments to suggest with a return, or to rule for; none: no suggestion
    never_accepts: float = 0.0  # lie untouched
    asks: float = 0.0  # ask the agent something before answering
    patience: float = 10.0  # seconds to wait for the agent's reply, then answer without it
    adds_evidence: float = 0.0
    upholds: float = 1.0  # of the returns this department rules on and knows another department for
    fails: float = 0.0  # of attempts: answered 500
    hangs: float = 0.0  # of attempts: kept waiting, then 504
    hang_seconds: float = 30.0
    throttles: float = 0.0  # of attempts: answered 429 with Retry-After
    retry_after: int = 2  # seconds
    works_twice: bool = False  # does not deduplicate: works through a repeated delivery as if it were new


@dataclass(frozen=True, slots=True)
class Role:
    """One department of the play."""

    code: str  # as in the responsibility matrix
    api_key: str = ""  # for the calls back to Zhida; or in a file:
    api_key_file: Path | None = None
    keys: tuple[str, ...] = ()  # to verify webhooks with; or one a line in a file, which may come later:
    keys_file: Path | None = None
    port: int = 0  # 0: any free one
    path: str = "/webhooks"
    behaviour: Behaviour = Behaviour()


@dataclass(frozen=True, slots=True)
class Plan:
    """One simulator process."""

    dispatch: str  # base URL of Zhida's dispatch service
    departments: tuple[Role, ...]
    log: Path  # JSON lines, appended
    receipts: Path  # SQLite file
    ready: Path | None = None  # written once every port listens
    host: str = "127.0.0.1"
    seed: int = 0
    concurrency: int = 32  # calls back at the same time
    poll: float = 10.0  # seconds between looks at the work order list, for what no webhook brought; 0: never
    drain: float = 5.0  # seconds to finish work orders in hand when told to stop
    behaviour: Behaviour = field(default_factory=Behaviour)  # of departments that state none


def read(path: Path) -> Plan:
    """The plan in a JSON file; paths in it are relative to that file. Raises PlanUnreadable."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PlanUnreadable(f"{path}: {error}") from None
    if isinstance(data, dict) and isinstance(data.get("departments"), list):
        common = data.get("behaviour", {})
        data["departments"] = [
            {**role, "behaviour": {**common, **role.get("behaviour", {})}} if isinstance(role, dict) else role
            for role in data["departments"]
        ]
    plan = _object(Plan, data, "")
    _check(plan)
    return _rooted(plan, path.parent)


def _rooted(plan: Plan, root: Path) -> Plan:
    def under(path: Path | None) -> Path | None:
        return None if path is None else root / path

    roles = tuple(
        dataclasses.replace(role, api_key_file=under(role.api_key_file), keys_file=under(role.keys_file))
        for role in plan.departments
    )
    return dataclasses.replace(
        plan, departments=roles, log=root / plan.log, receipts=root / plan.receipts, ready=under(plan.ready)
    )


def _check(plan: Plan) -> None:
    if not plan.departments:
        raise PlanUnreadable("departments: at least one is needed")
    codes = [role.code for role in plan.departments]
    for number, role in enumerate(plan.departments):
        where = f"departments[{number}]"
        if codes.count(role.code) > 1:
            raise PlanUnreadable(f"{where}.code: {role.code} is played twice")
        if bool(role.keys) == (role.keys_file is not None):
            raise PlanUnreadable(f"{where}: give either keys or keys_file")
        if bool(role.api_key) == (role.api_key_file is not None):
            raise PlanUnreadable(f"{where}: give either api_key or api_key_file")
        behaviour = role.behaviour
        for name in ("returns", "never_accepts", "asks", "adds_evidence", "upholds", "fails", "hangs", "throttles"):
            if not 0 <= getattr(behaviour, name) <= 1:
                raise PlanUnreadable(f"{where}.behaviour.{name}: expected a share between 0 and 1")
        if behaviour.returns + behaviour.never_accepts > 1:
            raise PlanUnreadable(f"{where}.behaviour: returns and never_accepts together exceed 1")
        if behaviour.fails + behaviour.hangs + behaviour.throttles > 1:
            raise PlanUnreadable(f"{where}.behaviour: fails, hangs and throttles together exceed 1")


def _object(kind: type[Read], data: object, where: str) -> Read:
    if not isinstance(data, Mapping):
        raise PlanUnreadable(f"{where or 'plan'}: expected an object")
    hints = typing.get_type_hints(kind)
    for name in data:
        if name not in hints:
            raise PlanUnreadable(f"{_inside(where, str(name))}: unknown field; known: {', '.join(sorted(hints))}")
    values: dict[str, Any] = {}
    for one in dataclasses.fields(kind):  # type: ignore[arg-type]
        if one.name in data:
            values[one.name] = _value(hints[one.name], data[one.name], _inside(where, one.name))
        elif one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING:
            raise PlanUnreadable(f"{_inside(where, one.name)}: missing")
    return kind(**values)


def _value(kind: Any, data: object, where: str) -> object:
    if isinstance(kind, types.UnionType):
        kind = next(option for option in kind.__args__ if option is not types.NoneType)
    if typing.get_origin(kind) is tuple:
        if not isinstance(data, list):
            raise PlanUnreadable(f"{where}: expected a list")
        return tuple(_value(typing.get_args(kind)[0], item, f"{where}[{number}]") for number, item in enumerate(data))
    if dataclasses.is_dataclass(kind):
        if kind is Delay and isinstance(data, int | float):
            data = {"median": data}
        return _object(typing.cast(type[Any], kind), data, where)
    if kind is Path and isinstance(data, str) and data:
        return Path(data)
    if kind is float and isinstance(data, int | float) and not isinstance(data, bool) and data >= 0:
        return float(data)
    if isinstance(data, bool) == (kind is bool) and isinstance(data, kind) and (kind is not str or data):
        return data
    expected = {Path: "a path", float: "a number of 0 or more", str: "a text", int: "a whole number", bool: "a yes/no"}
    raise PlanUnreadable(f"{where}: expected {expected[kind]}")


def _inside(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
