"""API keys, per service: `prefix.secret`, only the secret's SHA-256 is stored (it has 256 random bits)."""

import asyncio
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from libs.shared.service import Running

SCOPES = ("publish", "agent", "department", "review", "matrix", "supervise", "vault", "admin")

FIND = text("SELECT hash, scopes, principal, expires_at, revoked_at FROM api_key WHERE prefix = :prefix")
CREATE = text("""
    INSERT INTO api_key (prefix, hash, scopes, principal, expires_at)
    VALUES (:prefix, :hash, CAST(:scopes AS text[]), :principal, CAST(:expires_at AS timestamptz))""")
LIST = text("SELECT prefix, scopes, principal, expires_at, revoked_at, created_at FROM api_key ORDER BY created_at")
REVOKE = text("""
    UPDATE api_key SET revoked_at = clock_timestamp() WHERE prefix = :prefix AND revoked_at IS NULL RETURNING 1""")

REMEMBERED = 5.0  # s a key is trusted without asking the database again; a revoked one works no longer than this


@dataclass(frozen=True)
class Caller:
    """Who calls, by its key."""

    principal: str  # an agent, a department's code, a platform
    scopes: frozenset[str]
    key_prefix: str


Known = tuple[float, bytes, Caller, datetime | None]  # trusted until (monotonic), hash, caller, expiry


class KeyRing:
    """Checks keys for one process."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._known: dict[str, Known] = {}
        self._finding: dict[str, asyncio.Task[Known | None]] = {}

    async def check(self, key: str) -> Caller | None:
        """The caller behind a key, or None where it is unknown, expired or revoked."""
        prefix, _, secret = key.partition(".")
        digest = hashlib.sha256(secret.encode()).digest()
        known = self._known.get(prefix)
        if known is None or known[0] < time.monotonic():
            if prefix not in self._finding:  # many requests under one key ask the database once
                self._finding[prefix] = asyncio.create_task(self._find(prefix))
            known = await asyncio.shield(self._finding[prefix])
        if known is None:
            return None
        _, stored, caller, expires_at = known
        if not hmac.compare_digest(digest, stored) or (expires_at and expires_at <= self._running.now()):
            return None
        return caller

    async def _find(self, prefix: str) -> Known | None:
        self._known.pop(prefix, None)
        try:
            rows = await self._running.read(FIND, prefix=prefix)
        finally:
            del self._finding[prefix]
        if not rows or rows[0].revoked_at:
            return None
        row = rows[0]
        caller = Caller(row.principal, frozenset(row.scopes), prefix)
        self._known[prefix] = (time.monotonic() + REMEMBERED, row.hash, caller, row.expires_at)
        return self._known[prefix]


async def create(running: Running, principal: str, scopes: list[str], expires_at: datetime | None) -> str:
    """Make a key and give it: the only time it can be read."""
    prefix, secret = f"zh{secrets.token_hex(5)}", secrets.token_urlsafe(32)
    await running.read(
        CREATE,
        prefix=prefix,
        hash=hashlib.sha256(secret.encode()).digest(),
        scopes=scopes,
        principal=principal,
        expires_at=expires_at,
    )
    return f"{prefix}.{secret}"
