"""Answer an HTTP request on its socket: olympipe's ``send_json_response``, without a library.

``Pipeline.server`` is not there yet; its requests will have ``request.reply(value)``. This answers on any connected socket.
"""

from __future__ import annotations

import json
import logging
import socket
from typing import Any

__all__ = ["send_json_response"]

logger = logging.getLogger("olympipe_ng")


def send_json_response(connection: socket.socket, response: Any, status: int = 200, reason: str = "OK") -> None:
    """Send ``response`` as JSON and close the connection.

    A client that has gone away is logged, and is no error: the work for its request is done.

    >>> ours, client = socket.socketpair()
    >>> send_json_response(ours, {"result": 42})
    >>> client.recv(1000).splitlines()[0], client.close()
    (b'HTTP/1.1 200 OK', None)

    Raises ``TypeError`` for what JSON cannot hold; the connection is closed all the same.
    """
    with connection:
        message = _message(json.dumps(response).encode(), status, reason)
        try:
            connection.sendall(message)
        except ConnectionError as error:
            logger.warning("the client went away before its answer was sent: %s", error)


def _message(body: bytes, status: int, reason: str) -> bytes:
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
