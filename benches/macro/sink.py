"""An origin that discards request bodies and responds with 200 on keep-alive connections.

usage: sink.py PORT [CERT KEY]; with a certificate it uses TLS and returns the MD5 of the request body.
"""

import asyncio
import hashlib
import re
import ssl
import sys

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.I)


class Sink(asyncio.Protocol):
    def __init__(self, has_digest):
        self.has_digest = has_digest

    def connection_made(self, transport):
        self.transport, self.head, self.left, self.md5 = transport, b"", 0, hashlib.md5()

    def data_received(self, data):
        while data:
            if self.left:
                taken = data[: self.left]
                if self.has_digest:
                    self.md5.update(taken)
                self.left -= len(taken)
                data = data[len(taken) :]
            else:
                self.head += data
                end = self.head.find(b"\r\n\r\n")
                if end < 0:
                    return
                length = LENGTH.search(self.head[: end + 2])
                data, self.head, self.left = self.head[end + 4 :], b"", int(length[1]) if length else 0
                if self.left:
                    continue
            if not self.left:
                answer = self.md5.hexdigest().encode() if self.has_digest else b""
                self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))
                self.md5 = hashlib.md5()


async def main(port, *pair):
    context = None
    if pair:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
    make = lambda: Sink(bool(pair))  # noqa: E731
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", port, ssl=context, backlog=8192)
    await server.serve_forever()


asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
