"""The way from one process to PostgreSQL: every message of the client is counted, and one of them can be the last.

What breaks goes by the protocol's messages alone, so that the same happens each time, however fast the machine is.
"""

import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

SSL_REQUEST, GSS_REQUEST = 80877103, 80877104
ENDS_A_TURN = b"QS"  # a query, or the end of a batch of the extended protocol
READY = b"Z\x00\x00\x00\x05"  # and one byte: the server waits for the next message
COMMIT = b"COMMIT"
PIECE = 65536

WAYS = ("cut", "unheard", "half sent", "half heard")
"""How a link breaks at a message: it never arrives; it does, and the answer does not; a half of either does."""


class Link:
    """Passes bytes on in both directions, until the message comes at which it is to break."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self.struck: Callable[[str], None] = str  # told what came true
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.armed: tuple[str, str, int] | None = None  # how, at which `message` or `COMMIT`, and the how manieth
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, name="link", daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _address = self._listener.accept()
                server = socket.create_connection(self._server)
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._ends += [client, server]
                threading.Thread(target=self._pass_on, args=(client, server), name="link", daemon=True).start()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        """Until either end closes, or it breaks."""
        said, is_begun = b"", False
        with suppress(OSError):
            while True:
                readable, _, _ = select.select([client, server], [], [])
                if server in readable:
                    if not (heard := server.recv(PIECE)):
                        break
                    client.sendall(heard)
                if client in readable:
                    if not (sent := client.recv(PIECE)):
                        break
                    said += sent
                    turn, said, is_begun = _turn(said, is_begun=is_begun)
                    if turn and (way := self._due(turn)) is not None:
                        self._break(way, turn, client, server)
                        break
                    server.sendall(turn)
        for end in (client, server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _due(self, turn: bytes) -> str | None:
        if self.armed is None or turn[:1] not in b"QPBDECS" or (self.armed[1] == "COMMIT" and COMMIT not in turn):
            return None
        way, at, nth = self.armed
        self.armed = (way, at, nth - 1) if nth > 1 else None
        return way if nth <= 1 else None

    def _break(self, way: str, turn: bytes, client: socket.socket, server: socket.socket) -> None:
        self.struck(f"link {way}")
        if way == "half sent":
            server.sendall(turn[: len(turn) // 2])
        if way in {"unheard", "half heard"}:
            server.sendall(turn)
            heard = b""
            while heard[-6:-1] != READY and (more := server.recv(PIECE)):
                heard += more
            if way == "half heard":
                client.sendall(heard[: len(heard) // 2])

    def close(self) -> None:
        """Nobody is connected any more, nor can be."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _turn(said: bytes, *, is_begun: bool) -> tuple[bytes, bytes, bool]:
    """All whole messages up to the end of a turn, what is left of them, and whether the session has begun.

    What does not end a turn waits for what does.
    """
    at = end = 0
    while len(said) - at >= 5:
        if not is_begun:
            length = int.from_bytes(said[at : at + 4])
            if len(said) - at < length:
                break
            is_begun = int.from_bytes(said[at + 4 : at + 8]) not in {SSL_REQUEST, GSS_REQUEST}
            at = end = at + length
            continue
        length = 1 + int.from_bytes(said[at + 1 : at + 5])
        if len(said) - at < length:
            break
        if said[at : at + 1] not in b"PBDECF":  # of a batch, which its end follows
            end = at + length
        at += length
    return said[:end], said[end:], is_begun
