"""For servers without accounts: a browser may ask them only on behalf of their own pages.

Loopback keeps other machines out, not other pages: any that is open in the browser may send a form or a `fetch` to
127.0.0.1, and the browser, which hides the answer from it, sends it all the same.
"""

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from datalab.services.ports import LOOPBACK

NAMES = (LOOPBACK, "localhost")
"""What this machine is called by its own browser; any port, since a tunnel may have another one.

A page can have its own name lead to 127.0.0.1. To the browser the server is then that page's, under that name.
"""


class OwnPagesAlone:
    """Refuses with 403 what a page of another address asks for; programs say no `Origin`, and are let in."""

    def __init__(self, app: ASGIApp) -> None:
        """`app`: the server that is guarded."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] == "http" and not is_own(Headers(scope=scope)):
            refused = PlainTextResponse("asked by a page of another address", status_code=403)
            await refused(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def is_own(headers: Headers) -> bool:
    """Whether a request goes to this machine by its own name, and comes from a page of that address or from none."""
    host, origin = headers.get("host", ""), headers.get("origin")
    return host.partition(":")[0] in NAMES and origin in (None, f"http://{host}", f"https://{host}")
