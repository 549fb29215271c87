"""A ticket's life as a Temporal workflow: what it keeps and sends is what one of our work orders keeps and sends."""

from dataclasses import asdict, dataclass
from datetime import timedelta

import aiohttp
from temporalio import activity, workflow

QUEUE = "lives"
TO_ACCEPT = timedelta(minutes=30)  # the accept clock


@dataclass(frozen=True)
class Request:
    """What the customer wants, and where its webhook goes."""

    ticket_id: str
    url: str
    title: str
    text: str


class Post:
    """The webhook: one session for all, as the SDK's documentation advises."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    @activity.defn
    async def deliver(self, request: Request) -> None:
        """POST it; anything but 2xx is tried again."""
        async with self.session.post(request.url, json={"data": asdict(request)}) as answer:
            answer.raise_for_status()


@workflow.defn
class Life:
    """From the call to the close."""

    def __init__(self) -> None:
        self.accepted = self.closed = self.late = False
        self.answered = ""

    @workflow.run
    async def run(self, request: Request) -> str:
        """Deliver, then wait for what people do."""
        await workflow.execute_activity_method(Post.deliver, request, start_to_close_timeout=timedelta(seconds=15))
        try:
            await workflow.wait_condition(lambda: self.accepted, timeout=TO_ACCEPT)
        except TimeoutError:
            self.late = True
        await workflow.wait_condition(lambda: bool(self.answered))
        await workflow.wait_condition(lambda: self.closed)
        return self.answered

    @workflow.signal
    def accept(self) -> None:
        """The department takes it on."""
        self.accepted = True

    @workflow.signal
    def answer(self, text: str) -> None:
        """The department's answer."""
        self.answered = text

    @workflow.signal
    def close(self, satisfied: bool) -> None:
        """The agent has told the customer."""
        self.closed = True
