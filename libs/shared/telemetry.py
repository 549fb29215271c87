"""What an operator sees: one typed vocabulary of metrics, structured logs, and traces that follow a ticket."""

import logging
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import Counter, Gauge, Histogram

from libs.shared.settings import Settings

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

EVENTS = Counter("zhida_events_total", "Records read, by what became of them", ["type", "outcome"])
BATCH_SIZE = Histogram("zhida_batch_size", "Records or commands in one transaction", ["path"],
                       buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000))  # fmt: skip
STAGE_SECONDS = Histogram("zhida_stage_seconds", "Time of one stage of a transaction", ["stage"], buckets=SECONDS)
AGE_SECONDS = Histogram("zhida_event_age_seconds", "From an event's time to its effect's commit", buckets=SECONDS)
CONSUMER_LAG = Gauge("zhida_consumer_lag", "Records not yet read", ["topic", "partition"])
OUTBOX_AGE = Gauge("zhida_outbox_age_seconds", "Age of the oldest event the relay saw last")
RELAYED = Counter("zhida_relayed_total", "Events sent to Kafka and acknowledged")
RETRIES = Counter("zhida_retries_total", "Transient failures that are being retried", ["where"])
STOPPED = Gauge("zhida_stopped", "1 while the consumer or a partition waits for a person", ["what"])
REQUESTS = Histogram("zhida_http_seconds", "HTTP requests", ["route", "status"], buckets=SECONDS)
log: structlog.stdlib.BoundLogger = structlog.get_logger()

_tracer = trace.get_tracer("zhida")
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def start(settings: Settings, service: str) -> None:
    """Configure logs for this process, and tracing when a collector is named."""
    renderer = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    )
    steps: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*steps, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level.upper()]),
    )
    structlog.contextvars.bind_contextvars(service=service)
    libraries = logging.StreamHandler()  # they speak only when something is wrong, and as we do
    libraries.setFormatter(structlog.stdlib.ProcessorFormatter(renderer, foreign_pre_chain=steps))
    logging.basicConfig(level=logging.ERROR, handlers=[libraries])
    if settings.otlp_endpoint:
        provider = TracerProvider(resource=Resource.create({"service.name": f"zhida-{service}"}))
        endpoint = settings.otlp_endpoint.rstrip("/") + "/v1/traces"
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=5)))
        trace.set_tracer_provider(provider)


def cause(traceparent: str | None) -> str:
    """A caller's W3C trace context where it has the right form, else a new one."""
    return traceparent if traceparent and TRACEPARENT.fullmatch(traceparent) else new_traceparent()


def new_traceparent() -> str:
    """A W3C trace context for a ticket that arrives without one (sampled: it is ours to decide)."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


@contextmanager
def spans(name: str, parents: dict[str, str]) -> Iterator[dict[str, str]]:
    """One span per ticket of a batch, child of the event that caused it; yields each ticket's traceparent to pass on.

    Args: `parents`: ticket key → traceparent. Without a collector nothing is made and the parents pass through.
    """
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        yield parents
        return
    made = {}
    for key, parent in parents.items():
        context = propagate.extract({"traceparent": parent})
        made[key] = _tracer.start_span(name, context=context, attributes={"zhida.key": key})
    try:
        yield {key: _traceparent(span) for key, span in made.items()}
    finally:
        for span in made.values():
            span.end()


def _traceparent(span: trace.Span) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
