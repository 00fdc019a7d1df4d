"""An origin that takes bodies, throws them away and answers 200 with no body, on kept-alive connections."""

import asyncio
import re
import sys

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.I)


class Sink(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.head, self.left = transport, b"", 0

    def data_received(self, data):
        while data:
            if self.left:
                taken = min(self.left, len(data))
                self.left -= taken
                data = data[taken:]
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
                self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


async def main(port):
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port, backlog=8192)
    await server.serve_forever()


asyncio.run(main(int(sys.argv[1])))
