"""A ticket's path is one trace with any OpenTelemetry collector; off by default."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from libs.shared import telemetry

TRACE = "0af7651916cd43dd8448eb211c80319c"
PROGRAM = """
from pydantic import SecretStr
from opentelemetry import trace
from libs.shared import telemetry
from libs.shared.settings import Settings
telemetry.start(Settings(database_url=SecretStr(""), otlp_endpoint="http://127.0.0.1:PORT"), "probe")
with telemetry.spans("probe Deposited", {"ticket": "00-TRACE-b7ad6b7169203331-01"}) as first:
    pass
with telemetry.spans("probe Booked", first) as second:
    print(first["ticket"], second["ticket"])
trace.get_tracer_provider().shutdown()
"""


def test_spans_of_one_ticket_reach_a_collector_as_one_trace() -> None:
    bodies: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        program = PROGRAM.replace("PORT", str(server.server_port)).replace("TRACE", TRACE)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
        server.shutdown()
    first, second = done.stdout.split()
    assert first.split("-")[1] == second.split("-")[1] == TRACE
    spans = [
        span
        for body in bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert {span.name for span in spans} == {"probe Deposited", "probe Booked"}
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    assert spans[-1].parent_span_id.hex() == first.split("-")[2] or spans[0].parent_span_id.hex() == first.split("-")[2]


def test_what_a_library_logs_is_a_line_of_json_as_well() -> None:
    program = """
import logging
from pydantic import SecretStr
from libs.shared import telemetry
from libs.shared.settings import Settings
telemetry.start(Settings(database_url=SecretStr("")), "probe")
logging.getLogger("aiokafka").error("Unable connect to node %s", 1)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    line = json.loads(done.stderr)
    assert (line["event"], line["level"], line["service"]) == ("Unable connect to node 1", "error", "probe")


def test_without_a_collector_the_context_passes_through() -> None:
    parents = {"ticket": telemetry.new_traceparent()}
    with telemetry.spans("probe Deposited", parents) as passed:
        assert passed == parents
