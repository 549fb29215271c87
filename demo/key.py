"""API keys for the demo's players, made as `zhida <service> keys create` makes them, without a process for each."""

from pydantic import SecretStr

from deploy.local.stack import Stack
from libs.shared import keys
from libs.shared.service import Running, Service
from libs.shared.settings import Settings


async def create(stack: Stack, service: str, players: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Keys of one service, by principal. `players`: principal → scopes."""
    address = SecretStr(stack.environment(service)["DATABASE_URL"])
    async with Running(Service(service), Settings(database_url=address)).opened() as running:
        return {name: await keys.create(running, name, list(scopes), None) for name, scopes in players.items()}
