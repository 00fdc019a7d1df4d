"""A minimal HTTP/1.1 client that reports exactly how a request failed."""

import asyncio
import select
import socket

LIMIT = 64 * 1024


class Failure(Exception):
    """A failed request. `reason` is refused, reset, unanswered, truncated, 5xx, status, wrong body, timeout or goaway."""

    def __init__(self, reason, detail=""):
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class Unsent(Exception):
    """The server refused this request without processing it, as HTTP/2 allows. It may be sent on another
    connection."""


async def open_socket(host, port, receive=None):
    """Opens a socket. `receive` is the size of the receive buffer; with a small one, the other end notices
    a slow reader."""
    stream = socket.socket()
    stream.setblocking(False)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if receive:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    try:
        await asyncio.get_running_loop().sock_connect(stream, (host, port))
    except OSError as error:
        stream.close()
        raise Failure("refused", str(error)) from None
    except asyncio.CancelledError:
        stream.close()
        raise
    return stream


async def open_streams(host, port, receive=None):
    return await asyncio.open_connection(sock=await open_socket(host, port, receive), limit=LIMIT)


class Answer:
    def __init__(self, status, headers):
        self.status, self.headers = status, headers

    @property
    def says_close(self):
        return "close" in self.headers.get("connection", "").lower()


class Connection:
    """One connection. For each request, call `answer` and then `body`."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.poll = select.poll()
        self.poll.register(writer.get_extra_info("socket").fileno(), select.POLLIN)

    @classmethod
    async def open(cls, host, port, receive=None):
        return cls(*await open_streams(host, port, receive=receive))

    def is_usable(self):
        """Returns whether the server has neither closed the connection nor sent anything, in the buffer or
        the kernel."""
        return not (self.reader.at_eof() or self.reader.exception() or self.writer.is_closing() or self.poll.poll(0))

    def close(self):
        self.writer.transport.abort()

    async def answer(self, method, host, path, headers=(), body=(), length=None):
        """Writes the request and reads the head of the response. `body` may be an async iterator of pieces."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers)]
        if length is not None:
            lines.append(f"Content-Length: {length}")
        try:
            self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
            if hasattr(body, "__aiter__"):
                async for part in body:
                    self.writer.write(part)
                    await self.writer.drain()
            else:
                for part in body:
                    self.writer.write(part)
                await self.writer.drain()
        except OSError as error:
            raise Failure("reset", f"while the request was written: {error}") from None
        return await self.head(is_interim_expected=True)

    async def head(self, is_interim_expected=False):
        try:
            text = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError as error:
            raise Failure("truncated" if error.partial else "unanswered", "closed before the answer's head") from None
        except OSError as error:
            raise Failure("reset", f"before the answer's head: {error}") from None
        first, *lines = text.split("\r\n")
        status = int(first.split(" ", 2)[1])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        if status == 100 and is_interim_expected:
            return await self.head()
        return Answer(status, headers)

    async def body(self, answer, pace=None):
        """Yields the pieces of the body. `pace` is awaited with the number of bytes received so far."""
        left = int(answer.headers.get("content-length", 0))
        if "transfer-encoding" in answer.headers:
            raise Failure("wrong body", "chunked, although its length is known")
        got = 0
        while got < left:
            try:
                part = await self.reader.read(min(left - got, LIMIT))
            except OSError as error:
                raise Failure("reset", f"after {got} of {left} bytes: {error}") from None
            if not part:
                raise Failure("truncated", f"after {got} of {left} bytes")
            got += len(part)
            yield part
            if pace:
                await pace(got)
