"""The bytes of an answer on their way: counted, hashed, kept while they are few. Pure."""

from collections import deque
from collections.abc import Iterable, Iterator
from hashlib import sha256

from xxhash import xxh3_128


class Body:
    """One answer's body; what `chunks` raises is raised by whatever reads on.

    Its digest is what it is recognised by when it comes again: 16 bytes of all of it and, of a body larger than
    `kept_bytes`, as many of its first `kept_bytes` before them. It is made under a seed, so that the same bytes under
    other settings are others.
    """

    def __init__(self, chunks: Iterable[bytes], seed: int, kept_bytes: int) -> None:
        self.size = 0
        self._arriving = iter(chunks)
        self._kept_bytes = kept_bytes
        self._waiting: deque[bytes] = deque()  # arrived, and not read yet
        self._kept: list[bytes] | None = []  # read; None once it is too much
        self._digest = xxh3_128(seed=seed)
        self._head = b""
        self._sha256 = sha256()

    def __iter__(self) -> Iterator[bytes]:
        """The chunks that are still to be read."""
        while self._waiting:
            yield self._read(self._waiting.popleft())
        for chunk in self._arriving:
            self._count(chunk)
            yield self._read(chunk)

    def is_recognised_by(self, digest: bytes) -> bool | None:
        """Whether this is the body with that digest; it is read on no further than it takes to know.

        None when that showed so late that it was not kept: it has to be asked for again.
        """
        if not self._wait_for_head():
            return self.digest() == digest
        if not digest.startswith(self._head) or len(digest) != 2 * len(self._head):
            return False
        self._waiting.clear()
        for chunk in self._arriving:
            self._count(chunk)
        return True if self.digest() == digest else None

    def digest(self) -> bytes:
        """Of a body that has arrived."""
        return self._head + self._digest.digest()

    def sha256(self) -> str:
        """Of a body that was read."""
        return self._sha256.hexdigest()

    def whole(self) -> bytes | None:
        """A body that was read, if it was kept."""
        return b"".join(self._kept) if self._kept is not None else None

    def _wait_for_head(self) -> bool:
        """Let the body arrive; True as soon as it is too large to be kept."""
        for chunk in self._arriving:
            self._count(chunk)
            self._waiting.append(chunk)
            if self._head:
                return True
        return False

    def _count(self, chunk: bytes) -> None:
        rest = self._kept_bytes - self.size
        self.size += len(chunk)
        if not self._head and self.size > self._kept_bytes:
            self._digest.update(chunk[:rest])
            self._head = self._digest.digest()
            chunk = chunk[rest:]
        self._digest.update(chunk)

    def _read(self, chunk: bytes) -> bytes:
        self._sha256.update(chunk)
        if self._head:
            self._kept = None
        if self._kept is not None:
            self._kept.append(chunk)
        return chunk
