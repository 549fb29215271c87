"""Every kind of fault: how it strikes, how it heals, and from when to when its recovery is measured."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiokafka.errors import KafkaError

from chaos.fault import network, outside, process, store
from chaos.fault.ground import Ground, Outcome
from chaos.schedule import Strike

__all__ = ["Ground", "Outcome", "strike"]

DEEDS: Final[Mapping[str, Callable[[Ground, Strike, Outcome], Awaitable[None]]]] = {
    "kill": process.kill,
    "kill-at": process.kill_at,
    "zombie": process.zombie,
    "outage": process.outage,
    "clock-step": process.step,
    "postgres-immediate-stop": store.postgres_stop,
    "postgres-kill": store.postgres_kill,
    "postgres-backend-kill": store.backend_kill,
    "broker-kill": store.broker_kill,
    "broker-restart": store.broker_restart,
    "disk-full": store.disk_full,
    "cut": network.cut,
    "refuse": network.change,
    "slow": network.change,
    "hold": network.change,
    "half-open": network.change,
    "poison": outside.poison,
    "replay": outside.replay,
    "receiver": outside.receiver,
}


async def strike(ground: Ground, coming: Strike, at: float) -> Outcome:
    """Let one fault happen and wait until it is over. `at`: seconds since the run began."""
    outcome = Outcome(coming, at)
    ground.outcomes.append(outcome)
    try:
        await DEEDS[coming.kind](ground, coming, outcome)
    except (KafkaError, TimeoutError) as error:  # our own records did not get through: a fault like any other
        outcome.note = f"{outcome.note} not finished: {type(error).__name__}".strip()
    return outcome
