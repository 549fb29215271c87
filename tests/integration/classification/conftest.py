"""Classification on a real Postgres, with tickets to hear of."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from libs.shared.contracts.intake import Ticket, TicketReceived
from services.classification.main import service
from tests.running import Harness, harness


@pytest.fixture
async def classification(database: str) -> AsyncIterator[Harness]:
    """The service with an empty database of its own."""
    async with harness(service, database) as running:
        yield running


def received(text: str, *, title: str = "", ticket_id: UUID | None = None, **fields: Any) -> TicketReceived:
    """A ticket that intake has taken."""
    about = {
        "channel": "95598",
        "external_ref": str(uuid4()),
        "title": title,
        "text": text,
        "opened_at": datetime.now(UTC),
    }
    return TicketReceived(ticket_id=ticket_id or uuid4(), ticket=Ticket.model_validate(about | fields))
