"""Behind a proxy a refused request is read to its end."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class KeptConnections:
    """Hang up on nobody, whatever the app says: nginx takes that for a dead process, and tries the next one.

    For requests of a proxy only. It holds the whole body already, and has bounded it, so that what is left of it after
    a refusal is read in no time; for the body of a stranger the app does well to hang up.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back without `Connection: close`."""

        async def send_kept(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(name, value) for name, value in message["headers"] if name.lower() != b"connection"]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_kept)
