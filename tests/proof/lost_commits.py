"""A proxy forwards COMMIT to PostgreSQL and cuts the connection before the answer: each answer is applied once.

    python tests/proof/lost_commits.py --count 50 --seed 1

Every fifth COMMIT is cut before it is forwarded, and every tenth is that of the run's start.
"""

import copy
import socket
import threading
from collections import Counter
from contextlib import suppress
from urllib.parse import urlsplit

from budget import Budget
from estates import answers
from postgres import start as start_postgres
from witness import OUTCOMES, Witness

from syncer.errors import DatabaseFailed
from syncer.storage import database

COMMIT = b"COMMIT\x00"
APPLYING = b"FOR NO KEY UPDATE"  # the transaction of an answer locks its account; that of the run's start does not


class CuttingProxy:
    """Passes bytes on, until the COMMIT that is to be lost comes by."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "", parts.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{port}")).geturl()
        self.waits_for: bytes | None = None
        self.is_next = False
        self.forwards = True
        self.cut = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def lose(self, *, at_start: bool, forwards: bool) -> None:
        """The COMMIT of the run's start, or that of its answer, gets no answer; with `forwards` it arrives all the same."""
        self.waits_for, self.is_next, self.forwards = None if at_start else APPLYING, at_start, forwards

    def _accept(self) -> None:
        while True:
            client, _address = self._listener.accept()
            server = socket.create_connection(self._server)
            pair = (client, server)
            threading.Thread(target=self._pass_queries, args=pair, daemon=True).start()
            threading.Thread(target=self._pass_answers, args=pair, daemon=True).start()

    def _pass_queries(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if self.waits_for is not None and self.waits_for in data:
                    self.waits_for, self.is_next = None, True
                elif COMMIT in data and self.is_next:
                    self.is_next = False
                    self.cut += 1
                    # The client hears nothing any more; the server does, or does not.
                    client.shutdown(socket.SHUT_WR)
                    if self.forwards:
                        server.sendall(data)
                        server.shutdown(socket.SHUT_WR)
                        while server.recv(65536):
                            pass
                    break
                server.sendall(data)
        for end in (client, server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _pass_answers(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)


def main() -> None:
    budget = Budget("lost commits", full=1_000)
    server = start_postgres()
    url = server.create_database()
    proxy = CuttingProxy(url)
    witness = Witness(url)
    direct = witness.mirror.engine
    through = database.open_engine(database.parse_database_url(proxy.url))
    lives = answers(budget.chance)
    ends: Counter[str] = Counter()
    for number in budget:
        at_start, forwards = number % 10 == 9, number % 5 != 4
        pause, items = next(lives)
        proxy.lose(at_start=at_start, forwards=forwards or at_start)
        lost = proxy.cut
        cut_mirror = copy.copy(witness.mirror)
        cut_mirror.engine = through
        try:
            report = cut_mirror.observe(items, after=pause)
        except DatabaseFailed:
            assert at_start, "only the start of a run may fail without a word in its row"
            ends["start unknown"] += 1
        else:
            if report.status in {"ok", "unchanged", "held"}:
                assert witness.model.observe(items, cut_mirror.now) == OUTCOMES[report.status]
                assert forwards, "accepted, though its COMMIT never arrived"
            elif report.error is not None and report.error.kind == "database":
                assert not forwards, "a COMMIT that arrived was taken for lost"
            else:  # too many bad items: there is no transaction to apply
                lost -= 1
                assert witness.model.observe(items, cut_mirror.now) == "failed"
            ends[f"{report.status}, {'arrived' if forwards else 'not arrived'}"] += 1
        assert proxy.cut == lost + 1, "no COMMIT was cut"
        witness.mirror.now = cut_mirror.now
        witness.compare()
        witness.observe(*next(lives))
    witness.compare()
    direct.dispose()
    through.dispose()
    if server.server:
        server.server.remove()
    print(f"what came of them: {dict(ends)}")
    budget.report()


if __name__ == "__main__":
    main()
