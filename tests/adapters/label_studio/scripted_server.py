"""An HTTP server on loopback that gives the answers it was told to, one after the other, and notes what was asked."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, Any]
"""Status and JSON, or text that is sent as it is; status 0: no answer, the connection is closed."""


@dataclass
class ScriptedServer:
    """`asked`: (method, path with query, body) of every request so far."""

    url: str
    answers: list[Answer]
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)


@contextmanager
def serving(*answers: Answer) -> Iterator[ScriptedServer]:
    """A running server that gives `answers` in turn, the last one again and again."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    script = ScriptedServer(f"http://127.0.0.1:{server.server_address[1]}", list(answers))
    server.script = script  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def answer(self) -> None:
        script: ScriptedServer = self.server.script  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        script.asked.append((self.command, self.path, json.loads(body) if body else None))
        script.tokens.add(self.headers.get("Authorization"))
        status, content = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
        if status == 0:
            return
        sent = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        pass
