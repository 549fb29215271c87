"""What a call-centre platform may hand in as a ticket, and what is said about each field that is wrong.

Errors:
    Invalid     one or more fields are wrong; names each field and the reason, never the value
"""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NoReturn

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError

from libs.shared.contracts.intake import BusinessType, Channel, ComplaintObject, FieldError, Star
from services.intake.domain import masking

MOST_TICKETS = 500  # in one request
CLOCK_SKEW = timedelta(minutes=10)  # how far ahead a caller's clock may be
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)

_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
_TEXT = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
_AREA = r"^[0-9]{2,12}$"
_PATTERNS = {
    _LINE: "holds a control character (a line break, NUL or the like)",
    _TEXT: "holds a control character other than tab and line break",
    _AREA: "must be 2 to 12 digits",
}
_REASONS = {
    "missing": "is missing",
    "extra_forbidden": "is not a known field",
    "string_type": "must be a string",
    "string_unicode": "is not valid Unicode (a lone surrogate)",
    "string_too_short": "must not be empty",
    "string_too_long": "is longer than {max_length} characters",
    "literal_error": "must be one of {expected}",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object",
}


class Invalid(ValueError):
    """What was handed in cannot be taken. `syntax`: it could not even be read."""

    def __init__(self, *errors: FieldError, syntax: bool = False) -> None:
        super().__init__("; ".join(f"{error.field}: {error.reason}" for error in errors))
        self.errors = errors
        self.syntax = syntax


def _instant(value: object) -> datetime:
    """An ISO 8601 date and time with its offset, in UTC."""
    if not isinstance(value, str):
        raise PydanticCustomError("instant", "must be a string: an ISO 8601 date and time")
    try:
        instant = datetime.fromisoformat(value)
        universal = instant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise PydanticCustomError("instant", "is not an ISO 8601 date and time") from None
    if instant.tzinfo is None:
        raise PydanticCustomError("instant", "must have a UTC offset, such as +08:00 or Z")
    return universal


def _identifier(value: object) -> object:
    """A customer's number, which is published: it must not be what we hide elsewhere."""
    if isinstance(value, str) and len(value) <= 64 and masking.names_a_person(value):
        raise PydanticCustomError(
            "identifier", "looks like a phone number, an identity card or an e-mail address; send it as customer.phone"
        )
    return value


def _line(most: int) -> Any:
    return StringConstraints(strip_whitespace=True, min_length=1, max_length=most, pattern=_LINE)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SubmittedPlace(_Part):
    """Where the request is about."""

    area_code: Annotated[str, StringConstraints(pattern=_AREA)] | None = Field(
        None, description="administrative division code, 2-12 digits"
    )
    address: Annotated[str, _line(300)] | None = None


class SubmittedCustomer(_Part):
    """Who asks. Name and phone go into the vault and nowhere else."""

    customer_id: Annotated[str, BeforeValidator(_identifier), _line(64)] | None = Field(
        None, description="the platform's own number of the customer; published, so no phone or ID-card number"
    )
    name: Annotated[str, _line(100)] | None = None
    phone: Annotated[str, _line(40)] | None = None
    star: Star = Field(1, description="customer grade, 1-5")
    sensitive: bool = Field(False, description="on the ledger of sensitive customers (特殊群体)")


class Submission(_Part):
    """One ticket as a platform hands it in, by HTTP or on the inbound topic."""

    channel: Channel
    external_ref: Annotated[str, _line(100)] = Field(description="the platform's own number; unique per channel")
    agent_id: Annotated[str, _line(64)] | None = Field(None, description="the front-line agent who took the call")
    title: Annotated[str, _line(200)]
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000, pattern=_TEXT)]
    business_type: BusinessType | None = None
    complaint_object: ComplaintObject | None = None
    place: SubmittedPlace = SubmittedPlace()
    customer: SubmittedCustomer = SubmittedCustomer()
    opened_at: Annotated[datetime, BeforeValidator(_instant)] | None = Field(
        None, description="when the customer made the request; without it, when intake received it"
    )


FIELDS = frozenset(
    {*Submission.model_fields, *(f"place.{name}" for name in SubmittedPlace.model_fields)}
    | {f"customer.{name}" for name in SubmittedCustomer.model_fields}
)


def parse(raw: bytes | None) -> Any:
    """The JSON value of these bytes: UTF-8 only, no duplicate names, no NaN, no absurd depth.

    Raises: Invalid with `syntax` set.
    """
    try:
        if raw is None or not raw.strip():
            raise _unreadable("is empty")
        return json.loads(raw.decode(), object_pairs_hook=_object, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise _unreadable(f"is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise _unreadable(f"is not JSON ({error.msg}: line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise _unreadable("is nested too deeply") from None
    except Invalid:
        raise
    except ValueError:
        raise _unreadable("holds a number that is too long") from None


def check(value: Any, now: datetime, within: str = "") -> Submission:
    """The ticket behind a parsed JSON value.

    Args: `now`: aware UTC, bounds `opened_at`; `within`: what precedes the field in an error ("tickets.3").
    Raises: Invalid naming every wrong field.
    """
    if not isinstance(value, dict):
        raise Invalid(FieldError(field=within or "body", reason="must be an object"))
    try:
        submission = Submission.model_validate(value)
    except ValidationError as error:
        raise Invalid(*_explained(error, within)) from None
    opened_at = submission.opened_at
    if opened_at and not EARLIEST <= opened_at <= now + CLOCK_SKEW:
        reason = "is in the future" if opened_at > now else "is before the year 2000"
        raise Invalid(FieldError(field=_named(within, "opened_at"), reason=reason))
    return submission


def _explained(error: ValidationError, within: str) -> Iterator[FieldError]:
    for each in error.errors(include_input=False, include_url=False)[:50]:
        context = each.get("ctx", {})
        if each["type"] == "string_pattern_mismatch":
            reason = _PATTERNS[context["pattern"]]
        elif each["type"] == "literal_error":
            reason = f"must be one of {context['expected'].replace(chr(39), '')}"
        else:
            reason = _REASONS.get(each["type"], each["msg"]).format(**context)
        yield FieldError(field=_named(within, *each["loc"]), reason=reason)


def _named(within: str, *path: str | int) -> str:
    """A field's dotted name; one a caller invented is shortened, and masked like any text."""
    name = ".".join(_shown(str(step)) for step in path)
    return ".".join(part for part in (within, name) if part) or "body"


def _shown(name: str) -> str:
    if len(name) > 60:
        name = name[:60] + "…"
    return masking.mask("".join(c if c.isprintable() else "�" for c in name)) or "(empty)"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise Invalid(FieldError(field=_shown(twice), reason="is given twice in one object"), syntax=True)
    return values


def _no_constant(name: str) -> NoReturn:
    raise _unreadable(f"holds {name}, which is not JSON")


def _unreadable(reason: str) -> Invalid:
    return Invalid(FieldError(field="body", reason=reason), syntax=True)
