"""A peer that speaks HTTP/2 on loopback just well enough to misbehave on purpose."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions

Connection = h2.connection.H2Connection


@dataclass
class Peer:
    """What the peer saw. `bodies` lists every request body that arrived whole, in order."""

    port: int
    is_tls: bool = False
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http{'s' * self.is_tls}://127.0.0.1:{self.port}/v1/send"


Behaviour = Callable[[Connection, socket.socket, int, bytes, int], bool]
"""(connection, socket, stream id, body, number of the request) → go on with this connection?"""


def answer(status: int = 200, body: bytes = b"{}", **headers: str) -> Behaviour:
    """Answer every request alike."""

    def behave(
        connection: Connection, _socket: socket.socket, stream: int, _body: bytes, _count: int
    ) -> bool:
        extra = [(name.replace("_", "-"), value) for name, value in headers.items()]
        connection.send_headers(stream, [(":status", str(status)), *extra])
        for start in range(0, len(body), 16_000):
            connection.send_data(stream, body[start : start + 16_000])
        connection.end_stream(stream)
        return True

    return behave


def reset_socket(sock: socket.socket) -> None:
    """Close with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextlib.contextmanager
def running_peer(behave: Behaviour, tls: ssl.SSLContext | None = None) -> Iterator[Peer]:
    """A listening peer; ends with the block."""
    listener = socket.create_server(("127.0.0.1", 0))
    peer = Peer(listener.getsockname()[1], is_tls=tls is not None)
    open_sockets: list[socket.socket] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                open_sockets.append(sock)
                peer.connections += 1
                threading.Thread(target=_serve, args=(sock, peer, behave, tls), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield peer
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for sock in open_sockets:
            sock.close()


def _serve(tcp: socket.socket, peer: Peer, behave: Behaviour, tls: ssl.SSLContext | None) -> None:
    connection = Connection(h2.config.H2Configuration(client_side=False))
    connection.initiate_connection()
    bodies: dict[int, bytearray] = {}
    with (
        contextlib.suppress(OSError, h2.exceptions.ProtocolError),
        tls.wrap_socket(tcp, server_side=True) if tls else tcp as sock,
    ):
        sock.sendall(connection.data_to_send())
        while data := sock.recv(65_536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.DataReceived):
                    bodies.setdefault(event.stream_id, bytearray()).extend(event.data)
                    connection.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )
                if isinstance(event, h2.events.StreamEnded):
                    body = bytes(bodies.pop(event.stream_id, b""))
                    peer.bodies.append(body)
                    if not behave(connection, sock, event.stream_id, body, len(peer.bodies)):
                        return
            sock.sendall(connection.data_to_send())
