"""A minimal HTTP/2 client without TLS, with prior knowledge. RFC 9113, RFC 7541.

Of a response's header block it reads only the status, which is the first field. The client announces a dynamic
table of size zero, so the server cannot refer to fields of earlier responses.
"""

import asyncio
import struct

from wire import Failure, Unsent, open_socket

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
REFUSED_STREAM = 7
# The indices 8 to 14 of HPACK's static table: fields `:status` with a value.
STATUSES = {0x88: 200, 0x89: 204, 0x8A: 206, 0x8B: 304, 0x8C: 400, 0x8D: 404, 0x8E: 500}
WINDOW, CONNECTION_WINDOW = 65535, 1 << 24


def text(value):
    raw = value.encode()
    if len(raw) < 127:
        return bytes([len(raw)]) + raw
    rest, coded = len(raw) - 127, bytearray([127])
    while rest >= 128:
        coded.append(rest % 128 + 128)
        rest //= 128
    return bytes(coded) + bytes([rest]) + raw


def fields(pairs):
    return b"".join(b"\0" + text(name) + text(value) for name, value in pairs)


def status_of(block):
    while block and block[0] & 0xE0 == 0x20:  # skips a size update of the dynamic table
        block = block[1:]
    if block and block[0] in STATUSES:
        return STATUSES[block[0]]
    # A literal value with the name of index 8 (`:status`). The statuses of OSS and the proxy have three
    # digits.
    if len(block) > 5 and block[0] in (0x48, 0x08, 0x18):
        return int(block[2:5]) if block[1] == 3 else huffman_digits(block[2 : 2 + (block[1] & 0x7F)])
    return 0


def huffman_digits(coded):
    """Decodes Huffman-coded digits: 0 to 2 have five bits, the others six."""
    bits, digits = "".join(f"{one:08b}" for one in coded), ""
    while len(bits) >= 5 and len(digits) < 3:
        if bits[:5] in ("00000", "00001", "00010"):
            digits, bits = digits + str(int(bits[:5], 2)), bits[5:]
        else:
            digits, bits = digits + str(int(bits[:6], 2) - 0x19 + 3), bits[6:]
    return int(digits or 0)


class Stream:
    def __init__(self, window):
        self.status, self.pieces, self.window = None, asyncio.Queue(), window
        self.is_ended = False

    def end(self, error=None):
        if not self.is_ended:
            self.is_ended = True
            self.pieces.put_nowait(error)


class Connection2:
    """A connection on a plain socket, without asyncio's streams. With them, a failed write would also end
    reading, but the kernel may still hold a whole response when the server has closed."""

    def __init__(self, stream):
        self.stream, self.unsent = stream, bytearray()
        self.streams, self.next_id = {}, 1
        self.window, self.initial, self.frame = 65535, 65535, 16384
        self.is_leaving = self.is_broken = False
        self.has_more = asyncio.Event()

    @classmethod
    async def open(cls, host, port):
        self = cls(await open_socket(host, port))
        self.write(PREFACE)
        # The settings are a dynamic table of size zero, and no server push.
        self.send(SETTINGS, 0, 0, struct.pack("!HIHI", 1, 0, 2, 0))
        self.send(WINDOW_UPDATE, 0, 0, struct.pack("!I", CONNECTION_WINDOW))
        self.pump_task = asyncio.create_task(self.pump())
        return self

    def send(self, kind, flags, stream, payload=b""):
        head = struct.pack("!I", len(payload))[1:] + bytes([kind, flags]) + struct.pack("!I", stream)
        self.write(head + payload)

    def write(self, data):
        if not self.is_broken:
            self.unsent += data
            if len(self.unsent) == len(data):
                self.flush()

    def flush(self):
        """Writes as much as the kernel accepts, and the rest when the socket is writable again."""
        loop = asyncio.get_running_loop()
        try:
            del self.unsent[: self.stream.send(self.unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self.is_broken = True
            self.unsent.clear()
        if self.unsent:
            loop.add_writer(self.stream, self.flush)
        elif self.stream.fileno() >= 0:
            loop.remove_writer(self.stream)
            self.has_more.set()

    def is_usable(self):
        return not (self.is_leaving or self.is_broken or self.pump_task.done())

    def close(self):
        self.pump_task.cancel()

    async def pump(self):
        reason, got = Failure("unanswered", "the connection was closed"), bytearray()
        loop = asyncio.get_running_loop()
        try:
            while part := await loop.sock_recv(self.stream, 1 << 16):
                got += part
                while len(got) >= 9 and len(got) >= 9 + (length := int.from_bytes(got[:3], "big")):
                    head, payload = got[:9], bytes(got[9 : 9 + length])
                    del got[: 9 + length]
                    self.take(head[3], head[4], int.from_bytes(head[5:9], "big") & 0x7FFFFFFF, payload)
        except OSError as error:
            reason = Failure("reset", str(error))
        except asyncio.CancelledError:
            reason = Failure("unanswered", "given up by the client")
        finally:
            for stream in self.streams.values():
                stream.end(Failure("truncated", str(reason)) if stream.status else reason)
            self.is_broken = True
            self.has_more.set()
            loop.remove_writer(self.stream)
            self.stream.close()

    def take(self, kind, flags, number, payload):
        stream = self.streams.get(number)
        if kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                self.setting(*struct.unpack_from("!HI", payload, at))
            self.send(SETTINGS, ACK, 0)
        elif kind == PING and not flags & ACK:
            self.send(PING, ACK, 0, payload)
        elif kind == GOAWAY:
            self.is_leaving = True
            last = struct.unpack("!I", payload[:4])[0]
            for one, open_stream in self.streams.items():
                if one > last:
                    open_stream.end(Unsent())
            self.has_more.set()
        elif kind == WINDOW_UPDATE:
            grown = struct.unpack("!I", payload)[0]
            if number == 0:
                self.window += grown
            elif stream:
                stream.window += grown
            self.has_more.set()
        elif stream is None:
            return
        elif kind == HEADERS:
            if stream.status in (None, 100):
                stream.status = status_of(payload)
                stream.pieces.put_nowait(b"")
        elif kind == DATA:
            stream.pieces.put_nowait(payload)
            if payload:
                self.send(WINDOW_UPDATE, 0, 0, struct.pack("!I", len(payload)))
        elif kind == RST_STREAM:
            code = struct.unpack("!I", payload)[0]
            # NO_ERROR after a complete response only means that the server does not need the rest of the
            # upload.
            if code == REFUSED_STREAM and stream.status is None:
                stream.end(Unsent())
            else:
                stream.end(Failure("reset", f"RST_STREAM with code {code}"))
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            stream.end()

    def setting(self, name, value):
        if name == 4:
            for stream in self.streams.values():
                stream.window += value - self.initial
            self.initial = value
        elif name == 5:
            self.frame = value
        self.has_more.set()

    async def exchange(self, method, host, path, headers=(), body=(), length=None, pace=None):
        """Yields the status, then the pieces of the body. `pace` is awaited with the number of bytes
        received so far."""
        number, self.next_id = self.next_id, self.next_id + 2
        stream = self.streams[number] = Stream(self.initial)
        pairs = [(":method", method), (":scheme", "http"), (":authority", host), (":path", path), *headers]
        if length is not None:
            pairs.append(("content-length", str(length)))
        self.send(HEADERS, END_HEADERS | (0 if length else END_STREAM), number, fields(pairs))
        upload = asyncio.create_task(self.upload(number, stream, body)) if length else None
        try:
            got, has_status = 0, False
            while True:
                part = await stream.pieces.get()
                if isinstance(part, Exception):
                    raise part
                if part is None:
                    break
                if not has_status and stream.status not in (None, 100):
                    has_status = True
                    yield stream.status
                if part:
                    got += len(part)
                    yield part
                    if pace:
                        await pace(got)
                    if not stream.is_ended:
                        self.send(WINDOW_UPDATE, 0, number, struct.pack("!I", len(part)))
            if not has_status:
                raise Failure("unanswered", "the stream ended without a head")
        finally:
            if upload:
                upload.cancel()
            if not stream.is_ended:
                self.send(RST_STREAM, 0, number, struct.pack("!I", 8))
            del self.streams[number]

    async def upload(self, number, stream, body):
        async for part in body if hasattr(body, "__aiter__") else each(body):
            while part:
                while (min(self.window, stream.window) <= 0 or self.unsent) and not (stream.is_ended or self.is_broken):
                    self.has_more.clear()
                    await self.has_more.wait()
                if stream.is_ended or self.is_broken:
                    return
                now = part[: min(self.window, stream.window, self.frame)]
                self.window, stream.window = self.window - len(now), stream.window - len(now)
                self.send(DATA, 0, number, now)
                part = part[len(now) :]
        self.send(DATA, END_STREAM, number)


async def each(parts):
    for part in parts:
        yield part
