"""A checked ticket made ready: what may be published, what only the vault may hold, and whether it came before."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from pydantic import BaseModel

from libs.shared.contracts.intake import Customer, Place, Ticket
from services.intake.domain.masking import mask
from services.intake.domain.submission import Submission


@dataclass(frozen=True, slots=True)
class Draft:
    """A submission whose texts are masked."""

    submission: Submission
    title: str  # masked, like the next two
    text: str
    address: str | None
    original: Mapping[str, str]  # dotted field → what the vault keeps: name, phone, and each text that was masked

    @classmethod
    def of(cls, submission: Submission) -> Self:
        """Mask the texts and set the originals aside."""
        place, customer = submission.place, submission.customer
        title, text = mask(submission.title), mask(submission.text)
        address = mask(place.address) if place.address else None
        original = {
            "title": submission.title if title != submission.title else None,
            "text": submission.text if text != submission.text else None,
            "place.address": place.address if address != place.address else None,
            "customer.name": customer.name,
            "customer.phone": customer.phone,
        }
        return cls(submission, title, text, address, {name: value for name, value in original.items() if value})

    @property
    def reference(self) -> tuple[str, str]:
        """What makes a ticket itself: channel and the platform's number."""
        return self.submission.channel, self.submission.external_ref

    def ticket(self, now: datetime) -> Ticket:
        """What is published. `now`: when it was received, for callers that do not say when it was opened."""
        given = self.submission
        return Ticket(
            channel=given.channel,
            external_ref=given.external_ref,
            agent_id=given.agent_id,
            title=self.title,
            text=self.text,
            business_type=given.business_type,
            complaint_object=given.complaint_object,
            place=Place(area_code=given.place.area_code, address=self.address),
            customer=Customer(
                customer_id=given.customer.customer_id, star=given.customer.star, sensitive=given.customer.sensitive
            ),
            opened_at=given.opened_at or now,
        )


def differences(received: Mapping[str, object], original: Mapping[str, str] | None, again: Draft) -> tuple[str, ...]:
    """Names of the fields in which a second submission under one reference says something else than the first.

    A field that is left out, or null, claims nothing.
    Args: `received`: dotted field → value as published; `original`: what the vault kept, None where it cannot be
    opened (then masked texts are compared, and name and phone are not).
    """
    claims = dict(_claims(again.submission, ""))
    if original is None:
        masked = {"title": again.title, "text": again.text, "place.address": again.address}
        claims = {name: masked.get(name, value) for name, value in claims.items()}
        claims.pop("customer.name", None)
        claims.pop("customer.phone", None)
    before = {**received, **(original or {})}
    return tuple(name for name, value in claims.items() if before.get(name) != value)


def _claims(part: BaseModel, prefix: str) -> Iterator[tuple[str, object]]:
    for name in type(part).model_fields:
        value = getattr(part, name)
        if isinstance(value, BaseModel):
            yield from _claims(value, f"{prefix}{name}.")
        elif value is not None and name in part.model_fields_set:
            yield prefix + name, value
