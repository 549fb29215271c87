"""How long properties are looked for: bounded and always the same in CI, longer and by chance where one asks for it.

`ZHIDA_PROPERTY_EXAMPLES=2000` makes so many examples for each machine, from a seed that pytest prints; repeat them with
`--hypothesis-seed=N`. A failure prints its story, in the longer runs the shortest one (which takes minutes to find).
"""

import asyncio
import os
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings

from deploy.local import postgres
from deploy.local.backend import Backend
from libs.shared.service import Service
from tests.conftest import fresh_name
from tests.running import Harness, harness

T = TypeVar("T")
FIND = [Phase.explicit, Phase.generate]
VARIABLE = "ZHIDA_PROPERTY_EXAMPLES"


def bounded(examples: int, steps: int) -> settings:
    """The settings of a machine: so many examples in CI, always the same ones."""
    wish = int(os.environ.get(VARIABLE, "0"))
    return settings(
        max_examples=wish or examples,
        stateful_step_count=steps * 2 if wish else steps,
        derandomize=not wish,
        database=None,
        deadline=None,
        print_blob=True,
        report_multiple_bugs=False,
        phases=[*FIND, Phase.shrink] if wish else FIND,  # a failure in CI is told at once, as it was found
        suppress_health_check=list(HealthCheck),
    )


@dataclass
class Place:
    """One service on one migrated database and one loop, for all examples of a machine."""

    loop: asyncio.AbstractEventLoop
    harness: Harness

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do this to its end."""
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))


@contextmanager
def placed(stores: Backend, service: Service, **settings: Any) -> Iterator[Place]:
    """A database of its own and the service on it."""
    loop, name = asyncio.new_event_loop(), fresh_name("test")
    opened: AbstractAsyncContextManager[Harness] | None = None
    try:
        url = loop.run_until_complete(postgres.create_database(stores.owner_database_url, name))
        opened = harness(service, url, **settings)
        yield Place(loop, loop.run_until_complete(opened.__aenter__()))
    finally:
        if opened is not None:
            loop.run_until_complete(opened.__aexit__(None, None, None))
        loop.run_until_complete(postgres.drop_database(stores.owner_database_url, name))
        loop.close()
