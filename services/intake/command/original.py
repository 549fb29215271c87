"""Reads what the vault keeps, on record."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import UUID

from libs.shared.command import Refused
from libs.shared.keep import oldest_kept
from libs.shared.service import Running
from libs.shared.telemetry import log
from services.intake import store
from services.intake.settings import IntakeSettings
from services.intake.store import secret
from services.intake.vault import Vault, VaultError


@asynccontextmanager
async def open_vault(running: Running) -> AsyncIterator[Vault]:
    """The vault, for the life of the process. Raises SettingsError where its keys are missing or wrong."""
    yield cast(IntakeSettings, running.settings).vault()


async def read(running: Running, ticket_id: UUID, principal: str, key_prefix: str) -> dict[str, Any]:
    """What the vault keeps of a ticket and its amendments; who reads it is on record before it is shown.

    Raises: Refused 404, or 503 where a key is missing or a value damaged.
    """
    if await store.ticket(running, ticket_id) is None:
        raise Refused(404, "Not found", "there is no ticket with this id")
    vault = cast(Vault, running.resources)
    async with running.transaction() as tx:
        rows = await tx.rows(secret.SECRETS, ticket_id=ticket_id)
        await secret.audit(tx, ticket_id, principal, key_prefix)
    kept = cast(IntakeSettings, running.settings).vault_months
    if not rows and ticket_id < oldest_kept(tx.now, kept):
        raise Refused(404, "Not found", f"originals are kept for {kept} months; this one is gone")
    opened: dict[UUID, dict[str, str]] = {}
    try:
        for row in rows:
            sealed = secret.sealed(row)
            opened[row.id] = vault.open_fields(row.id, sealed) if sealed else {}
    except VaultError as error:
        log.error("original_unreadable", ticket_id=str(ticket_id), reason=str(error))
        raise Refused(503, "Original cannot be read", str(error)) from None
    return {
        "ticket_id": str(ticket_id),
        "original": opened.pop(ticket_id, {}),
        "amendments": {str(amendment_id): fields["text"] for amendment_id, fields in opened.items()},
    }
