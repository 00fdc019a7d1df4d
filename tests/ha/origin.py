"""An OSS-like origin on several addresses, each with its own fault, and a DNS server for them.

usage: origin.py PORT ADDRESS[,ADDRESS] DNS_ADDRESS DNS_PORT

The origin serves GET and HEAD of `/o/SIZE/SEED` with Range, If-Match and ETag. It accepts any PUT, checks its
length and returns its MD5 as the ETag. Commands are JSON lines on standard input; each gets one line in reply.
An address with mode `refuse` or `blackhole` also resets its open connections.
  {"fault": ADDRESS, "mode": MODE, ...}   ok | refuse | blackhole | delay (seconds) | reset (after: bytes,
  every: which requests, default 1)
  {"names": {NAME: [ADDRESS]}, "silent": bool}
  {"stats": true}
"""

import asyncio
import collections
import hashlib
import json
import re
import socket
import struct
import sys
import time

import objects
from dns import Dns

RANGE = re.compile(r"bytes=(\d*)-(\d*)$")
PRECONDITION = b"<Error><Code>PreconditionFailed</Code></Error>"


class Address:
    """One address of the endpoint."""

    def __init__(self, ip, port):
        self.ip, self.port, self.mode, self.facts = ip, port, "ok", {}
        self.server, self.swallower, self.fillers = None, None, []
        self.writers = set()
        self.stats = collections.Counter()
        self.puts = collections.Counter()

    async def open(self):
        self.server = await asyncio.start_server(self.serve, self.ip, self.port, backlog=1024, limit=256 * 1024)

    async def set(self, mode, facts):
        if self.mode == "blackhole":
            for one in (*self.fillers, self.swallower):
                one.close()
            self.fillers, self.swallower = [], None
        self.mode, self.facts = mode, facts
        is_gone = mode in ("refuse", "blackhole")
        if is_gone and self.server:
            self.server.close()
            self.server = None
        if is_gone:
            for writer in list(self.writers):
                reset(writer)
        if mode == "blackhole":
            self.swallow()
        if not is_gone and not self.server:
            await self.open()

    def swallow(self):
        """Opens a listener with a full queue, so that the kernel drops every further SYN."""
        self.swallower = socket.socket()
        self.swallower.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.swallower.bind((self.ip, self.port))
        self.swallower.listen(0)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((self.ip, self.port))
            self.fillers.append(filler)

    async def serve(self, reader, writer):
        self.writers.add(writer)
        self.stats["connections"] += 1
        try:
            while await self.exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()

    async def exchange(self, reader, writer):
        """Serves one request. Returns whether another request may follow on the connection."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return False
        first, *lines = head.split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        self.stats["requests"] += 1
        is_hit = self.mode == "reset" and self.stats["requests"] % self.facts.get("every", 1) == 0
        if self.mode == "delay":
            await asyncio.sleep(self.facts["seconds"])
        if method == "PUT":
            return await self.put(reader, writer, target, headers, is_hit)
        return await self.get(writer, method, target.partition("?")[0], headers, is_hit)

    async def put(self, reader, writer, target, headers, is_hit):
        left = int(headers["content-length"])
        if headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        digest, whole = hashlib.md5(), left
        while left:
            if is_hit and whole - left > self.facts["after"]:
                return reset(writer)
            part = await reader.read(min(left, objects.STEP))
            if not part:
                self.stats["short_puts"] += 1
                return False
            digest.update(part)
            left -= len(part)
        if is_hit:
            return reset(writer)
        self.puts[target] += 1
        self.stats["whole_puts"] += 1
        writer.write(head_of(200, {"ETag": f'"{digest.hexdigest().upper()}"', "Content-Length": 0}))
        await writer.drain()
        return True

    async def get(self, writer, method, path, headers, is_hit):
        found = re.match(r"/o/(\d+)/(\d+)$", path)
        if not found:
            body = b"<Error><Code>NoSuchKey</Code></Error>"
            writer.write(head_of(404, {"Content-Length": len(body)}) + (body if method == "GET" else b""))
            return True
        size, seed = int(found[1]), int(found[2])
        etag = f'"{objects.md5(size, seed).upper()}"'
        if headers.get("if-match", etag) != etag:
            writer.write(head_of(412, {"Content-Length": len(PRECONDITION)}) + PRECONDITION)
            return True
        start, stop, status = 0, size, 200
        answer = {"ETag": etag, "Accept-Ranges": "bytes", "Last-Modified": "Mon, 02 Jan 2023 03:04:05 GMT"}
        asked = RANGE.match(headers.get("range", ""))
        if asked and headers.get("if-range", etag) == etag and size:
            start, stop = span(asked, size)
            status, answer["Content-Range"] = 206, f"bytes {start}-{stop - 1}/{size}"
            self.stats["ranges"] += 1
        answer["Content-Length"] = stop - start
        writer.write(head_of(status, answer))
        if method == "HEAD":
            return True
        self.stats["large"] += size > 1 << 20
        sent = 0
        for part in objects.pieces(seed, start, stop):
            if is_hit and sent + len(part) > self.facts["after"]:
                writer.write(part[: self.facts["after"] - sent])
                # The written bytes must be sent by the kernel first, because a reset would discard them.
                while writer.transport.get_write_buffer_size():
                    await asyncio.sleep(0.001)
                self.stats["resets"] += 1
                return reset(writer)
            writer.write(part)
            sent += len(part)
            await writer.drain()
        return True


def span(asked, size):
    if not asked[1]:
        return max(size - int(asked[2]), 0), size
    return min(int(asked[1]), size - 1), min(int(asked[2]) + 1, size) if asked[2] else size


def head_of(status, headers):
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return (f"HTTP/1.1 {status} X\r\nServer: AliyunOSS\r\nx-oss-request-id: {time.monotonic_ns():024X}\r\n"
            f"Date: Mon, 02 Jan 2023 03:04:05 GMT\r\n{lines}\r\n").encode()


def reset(writer):
    """Closes the connection with RST. Returns False: no request may follow."""
    stream = writer.get_extra_info("socket")
    if stream is not None and stream.fileno() >= 0:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False


async def main(port, ips, dns_ip, dns_port):
    loop = asyncio.get_running_loop()
    addresses = {ip: Address(ip, int(port)) for ip in ips.split(",")}
    for one in addresses.values():
        await one.open()
    _, dns = await loop.create_datagram_endpoint(Dns, local_addr=(dns_ip, int(dns_port)))
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    print("ready", flush=True)
    # Standard input ends when the parent process ends.
    while line := await commands.readline():
        command, answer = json.loads(line), {}
        if "fault" in command:
            await addresses[command.pop("fault")].set(command.pop("mode"), command)
        elif "stats" in command:
            answer = {ip: dict(one.stats) for ip, one in addresses.items()}
            every = sum((one.puts for one in addresses.values()), collections.Counter())
            answer["twice"] = [key for key, count in every.items() if count > 1]
            answer["queries"] = dns.queries
        else:
            dns.names = command.get("names", dns.names)
            dns.is_silent = command.get("silent", False)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
