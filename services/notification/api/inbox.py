"""A recipient's notices, how far they were read, and in which language."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from libs.shared.contracts.notification import Kind, RecipientKind
from libs.shared.web import Body, problems, running
from services.notification.api.access import Reader, bad, chosen
from services.notification.domain.notice import Recipient
from services.notification.domain.template import Language
from services.notification.resources import Resources
from services.notification.store import inbox as store

router = APIRouter(tags=["inbox"])

Name = Annotated[
    str | None,
    Query(
        max_length=200,
        description="Agent's id, or kind:id (agent, department, supervisor). Left out: the key's own inbox. "
        "Scope publish: any agent's.",
    ),
]


class RecipientView(BaseModel):
    """Whose inbox."""

    kind: RecipientKind
    id: str


class NoticeView(BaseModel):
    """One notice: words for people, `data` for programs."""

    number: int = Field(description="the inbox's own running number, without gaps")
    notification_id: UUID
    recipient: RecipientView
    kind: Kind
    ticket_id: UUID
    language: Language
    title: str
    text: str
    data: dict[str, Any]
    caused_at: datetime = Field(description="when the fact behind it happened")
    created_at: datetime


class Inbox(BaseModel):
    """Notices by rising number."""

    items: list[NoticeView]
    next: int | None = Field(description="`after` of the next page; null at the end")
    last_number: int = Field(description="of the newest notice; where an event stream goes on from")
    read_up_to: int


class ReadUpTo(Body):
    """How far the reader has seen its inbox."""

    up_to: int = Field(ge=0, le=2**63 - 1, strict=True)


class Preferences(Body):
    """What a recipient wishes."""

    language: Language


class PreferencesView(BaseModel):
    """What a recipient wished, or what it has without wishing."""

    recipient: RecipientView
    language: Language
    chosen: bool


@router.get("/v1/inbox", summary="Notices of an inbox", responses=problems(422))
async def notices(
    request: Request,
    *,
    who: Reader,
    recipient: Name = None,
    after: Annotated[int, Query(ge=0, le=2**63 - 1, description="only numbers above this one")] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    unread: Annotated[bool, Query(description="only what lies above read_up_to")] = False,
) -> Inbox:
    """By rising number. Numbers have no gaps, so the newest fifty are those after `last_number` - 50."""
    whose = _one(who, recipient)
    process = running(request)
    resources: Resources = process.resources
    standing = (await store.standing(process, [whose.address]))[whose.address]
    begin = max(after, standing.read_number) if unread else after
    rows = await store.news(process, [(whose.address, begin)], limit + 1)
    items = [NoticeView.model_validate(resources.show(row)) for row in rows[:limit]]
    return Inbox(
        items=items,
        next=items[-1].number if len(rows) > limit else None,
        last_number=max(standing.last_number, items[-1].number if items else 0),
        read_up_to=standing.read_number,
    )


@router.post("/v1/inbox/read", summary="Mark notices as read", responses=problems(400, 422))
async def read(request: Request, body: ReadUpTo, who: Reader, recipient: Name = None) -> dict[str, int]:
    """Everything up to that number has been seen. It never goes back, so repeating changes nothing."""
    whose = _one(who, recipient)
    async with running(request).transaction() as tx:
        number = await store.mark_read(tx, whose.address, body.up_to) if body.up_to else 0
    if number is None:
        raise bad("up_to", "is above the last number of this inbox")
    return {"read_up_to": number}


@router.get("/v1/preferences", summary="A recipient's preferences", responses=problems(422))
async def preferences(request: Request, who: Reader, recipient: Name = None) -> PreferencesView:
    """The language notices are shown in."""
    whose = _one(who, recipient)
    resources: Resources = running(request).resources
    standing = (await store.standing(running(request), [whose.address]))[whose.address]
    view = RecipientView(kind=whose.kind, id=whose.id)
    language = standing.language or resources.settings.default_language
    return PreferencesView.model_validate(
        {"recipient": view, "language": language, "chosen": standing.language is not None}
    )


@router.put("/v1/preferences", summary="Choose a language", responses=problems(400, 422))
async def prefer(request: Request, body: Preferences, who: Reader, recipient: Name = None) -> PreferencesView:
    """Holds for every notice from now on, also for those already in the inbox."""
    whose = _one(who, recipient)
    async with running(request).transaction() as tx:
        await store.speak(tx, whose, body.language)
    return PreferencesView(recipient=RecipientView(kind=whose.kind, id=whose.id), language=body.language, chosen=True)


def _one(who: Reader, name: str | None) -> Recipient:
    return chosen(who, [name] if name else [], "recipient")[0]
