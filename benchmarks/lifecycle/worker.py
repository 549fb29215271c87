"""The Temporal worker as a process, with settings made for throughput: `python -m … ADDRESS`."""

import asyncio
import signal
import sys

import aiohttp
import uvloop
from temporalio.client import Client
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.worker import PollerBehaviorSimpleMaximum, UnsandboxedWorkflowRunner, Worker

from benchmarks.lifecycle.workflow import QUEUE, Life, Post
from deploy.local.leash import leash

POLLERS = 10


async def main(address: str) -> None:
    """Work until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    runtime = Runtime(telemetry=TelemetryConfig(metrics=None), disable_environment_info=True)
    client = await Client.connect(address, runtime=runtime)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:
        worker = Worker(
            client,
            task_queue=QUEUE,
            workflows=[Life],
            activities=[Post(session).deliver],
            workflow_runner=UnsandboxedWorkflowRunner(),
            max_cached_workflows=5000,
            max_concurrent_workflow_tasks=200,
            max_concurrent_activities=200,
            workflow_task_poller_behavior=PollerBehaviorSimpleMaximum(POLLERS),
            activity_task_poller_behavior=PollerBehaviorSimpleMaximum(POLLERS),
        )
        async with worker:
            await stop.wait()


if __name__ == "__main__":
    leash()
    uvloop.run(main(sys.argv[1]))
