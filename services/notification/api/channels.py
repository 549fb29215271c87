"""Channels beside the inbox, such as the control group's chat robot: set up by an administrator."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field, SecretStr

from libs.shared import outgoing
from libs.shared.contracts.notification import Kind
from libs.shared.web import Body, Caller, Refused, after, caller, cursor, problems, running
from services.notification.api.access import bad
from services.notification.domain.channel import Format, check_secret
from services.notification.domain.notice import RECIPIENT_KINDS, Recipient
from services.notification.domain.template import Language
from services.notification.store import channel as store

router = APIRouter(tags=["channels"])

Admin = Annotated[Caller, caller("admin")]
Name = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class ChannelBody(Body):
    """What a channel carries, and where to."""

    url: str = Field(max_length=outgoing.MAX_URL, description="https, or http to a network listed in `networks`")
    format: Format = Field("json", description="json: the notice itself; robot: DingTalk's and WeCom's text message")
    secret: SecretStr | None = Field(None, description="whsec_…: sign as Standard Webhooks v1; left out: as it was")
    networks: list[str] = Field(default_factory=list, max_length=20, description="private networks allowed (CIDR)")
    recipients: list[str] = Field(min_length=1, max_length=200, description="kind:id, or kind:* for all of a kind")
    kinds: list[Kind] = Field(default_factory=list, max_length=20, description="kinds of notices; empty: all")
    language: Language = "zh-CN"


class ChannelView(BaseModel):
    """A channel; its URL's query and its secret are not shown."""

    name: str
    url: str
    format: Format
    signed: bool
    networks: list[str]
    recipients: list[str]
    kinds: list[Kind]
    language: Language
    updated_at: datetime


class ChannelPage(BaseModel):
    """Channels by name."""

    items: list[ChannelView]
    next: str | None


@router.put("/v1/channels/{name}", summary="Set up a channel", responses=problems(400, 422))
async def put(request: Request, name: Name, body: ChannelBody, who: Admin) -> ChannelView:
    """Makes or changes it; notices from now on go there, each fact once. Repeating changes nothing."""
    if name == "inbox":
        raise bad("name", "is taken by the inbox itself")
    channel = _checked(name, body)
    async with running(request).transaction() as tx:
        return _view(await store.put(tx, channel))


@router.get("/v1/channels", summary="All channels", responses=problems(422))
async def channels(
    request: Request,
    who: Admin,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    after_: Annotated[str | None, Query(alias="after", description="`next` of the page before")] = None,
) -> ChannelPage:
    """By name."""
    place = after(after_, str) or ("",)
    rows = await store.all_(running(request), place[0], limit + 1)
    shown = rows[:limit]
    return ChannelPage(items=[_view(row) for row in shown], next=cursor(shown[-1].name) if len(rows) > limit else None)


@router.get("/v1/channels/{name}", summary="One channel", responses=problems(404, 422))
async def channel(request: Request, name: Name, who: Admin) -> ChannelView:
    """As it is set up."""
    row = await store.one(running(request), name)
    if row is None:
        raise Refused(404, "Not found", f"there is no channel {name}")
    return _view(row)


@router.delete("/v1/channels/{name}", status_code=204, summary="Remove a channel", responses=problems(404, 422))
async def remove(request: Request, name: Name, who: Admin) -> None:
    """Nothing goes there any more; what still waited is recorded as failed."""
    async with running(request).transaction() as tx:
        removed = await store.remove(tx, name)
    if not removed:
        raise Refused(404, "Not found", f"there is no channel {name}")
    running(request).wake("channels")


def _checked(name: str, body: ChannelBody) -> store.Channel:
    try:
        networks = outgoing.parse_networks(body.networks)
    except ValueError as error:
        raise bad("networks", str(error)) from None
    try:
        outgoing.check_url(body.url, networks)
    except ValueError as error:
        raise bad("url", str(error)) from None
    for place, address in enumerate(body.recipients):
        kind, _, id_ = address.partition(":")
        if id_ == "*" and kind in RECIPIENT_KINDS:
            continue
        try:
            Recipient.at(address)
        except ValueError as error:
            raise bad(f"recipients.{place}", str(error)) from None
    secret = body.secret.get_secret_value() if body.secret else None
    if secret is not None and (reason := check_secret(secret)):
        raise bad("secret", reason)
    return store.Channel(
        name=name,
        url=body.url,
        format=body.format,
        secret=secret,
        networks=tuple(body.networks),
        recipients=tuple(dict.fromkeys(body.recipients)),
        kinds=tuple(dict.fromkeys(body.kinds)),
        language=body.language,
    )


def _view(row: Any) -> ChannelView:
    address, question, _ = row.url.partition("?")
    return ChannelView(
        name=row.name,
        url=address + ("?…" if question else ""),
        format=row.format,
        signed=row.secret is not None,
        networks=row.networks,
        recipients=row.recipients,
        kinds=row.kinds,
        language=row.language,
        updated_at=row.updated_at,
    )
