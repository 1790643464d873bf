"""A provider of intensities on this machine, that says what a test has it say."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

HOUR_S = 3600


@dataclass
class Request:
    path: str
    params: dict[str, str]
    headers: dict[str, str]


@dataclass
class Answer:
    body: object = None
    """Bytes as they are; else JSON."""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    after_s: float = 0.0
    cut_short: bool = False
    """Says that more is to come, and hangs up."""
    dripping: bool = False
    """One byte at a time, without end."""


class Provider:
    """Answers each path in turn with what `say` gave; the last answer stays."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._answers: dict[str, list[Answer | Callable[[Request], Answer]]] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def say(self, path: str, *answers: object) -> None:
        """Answers, functions of the request to one, or bodies of status 200."""
        self._answers[path] = [
            answer if isinstance(answer, Answer) or callable(answer) else Answer(answer)
            for answer in answers
        ]

    def asked(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path == path]

    def stop(self) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _next(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            answers = self._answers.get(request.path)
            if not answers:
                return Answer({"error": "no such path"}, 404)
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer if isinstance(answer, Answer) else answer(request)

    def _handler(provider) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(parts.path, dict(parse_qsl(parts.query)), headers)
                answer = provider._next(request)
                provider._stopped.wait(answer.after_s)
                body = answer.body
                if not isinstance(body, bytes):
                    body = json.dumps(body).encode()
                try:
                    self.send_response(answer.status)
                    for name, value in answer.headers.items():
                        self.send_header(name, value)
                    length = len(body) + 10**6 * (answer.cut_short or answer.dripping)
                    if answer.status != 204:
                        self.send_header("content-length", str(length))
                    self.end_headers()
                    if answer.status != 204:
                        self.wfile.write(body)
                    while answer.dripping and not provider._stopped.wait(0.02):
                        self.wfile.write(b" ")
                except OSError:
                    pass  # The client waits no longer.
                self.close_connection = answer.cut_short or answer.dripping

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def hour(offset: int = 0) -> int:
    """When the current hour began, or one so many after it."""
    return int(time.time() // HOUR_S + offset) * HOUR_S


def iso(time_s: float, ending: str = ":00Z") -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M") + ending
