"""What an operator sees of deliveries."""

from prometheus_client import Counter, Gauge, Histogram

from libs.shared.telemetry import SECONDS

ATTEMPTS = Counter("zhida_delivery_attempts_total", "Webhook attempts", ["department", "outcome"])
ATTEMPT_SECONDS = Histogram("zhida_delivery_attempt_seconds", "Time of one webhook attempt", buckets=SECONDS)
AGE_SECONDS = Histogram(
    "zhida_delivery_age_seconds", "From the fact to the department's 2xx", buckets=(*SECONDS, 60.0, 600.0, 3600.0)
)
HELD = Gauge("zhida_delivery_held", "Deliveries in this process: queued, under way or not yet recorded")
LANES = Gauge("zhida_delivery_endpoints", "Endpoints this process sends to, by their breaker", ["breaker"])
