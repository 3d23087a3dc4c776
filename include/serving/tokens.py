"""Let in who knows the token."""

import base64
import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from include.serving.refusals import RefusedRequestError, respond_refusal

UNAUTHORIZED = 401
# Who restarts a process, or sends it traffic, has to see its health without knowing a secret.
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"})


class TokenGuard:
    """Refuse every request but those for health, unless it carries the token.

    Programs send `Authorization: Bearer TOKEN` (RFC 6750). A browser, asked for a password, may send the token as that
    (RFC 7617); the name plays no part.

    :param token: Nobody is refused where it is empty.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if not self._token or scope["type"] != "http" or scope["path"] in OPEN_PATHS or self._is_known(scope):
            await self._app(scope, receive, send)
            return
        refusal = RefusedRequestError(
            UNAUTHORIZED,
            "unauthorized",
            "the request carries no token, or a wrong one",
            "send `Authorization: Bearer TOKEN`, with the token in WINDHOVER_SERVING_TOKEN",
        )
        response = respond_refusal(scope["path"], refusal)
        scheme = "Basic" if scope["path"] == "/" else "Bearer"
        response.headers["www-authenticate"] = f'{scheme} realm="Windhover serving"'
        # Nobody reads the body that an unknown client sends.
        response.headers["connection"] = "close"
        await response(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        scheme, _, credentials = Headers(scope=scope).get("authorization", "").partition(" ")
        told = _read_password(credentials) if scheme.lower() == "basic" else credentials.strip().encode("latin-1")
        known = scheme.lower() in {"basic", "bearer"}
        # Compared in a time that does not tell how much of it was right.
        return hmac.compare_digest(told, self._token) and known


def _read_password(credentials: str) -> bytes:
    try:
        return base64.b64decode(credentials, validate=True).partition(b":")[2]
    except ValueError:
        return b""
