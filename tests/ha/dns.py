"""A DNS server on UDP that answers with scripted A records of TTL 1."""

import asyncio
import ipaddress
import struct


class Dns(asyncio.DatagramProtocol):
    """`names` maps a name, or "*" for all other names, to its addresses. A name without an entry gets
    NXDOMAIN."""

    def __init__(self):
        self.names = {}
        self.is_silent = False
        self.queries = 0

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, source):
        self.queries += 1
        if self.is_silent or len(data) < 17:
            return
        name, end = read_name(data, 12)
        kind = struct.unpack_from("!H", data, end)[0]
        known = self.names.get(name, self.names.get("*"))
        addresses = (known or []) if kind == 1 else []
        # The flags are QR, RD and RA. The response code is NXDOMAIN only if the name is not scripted.
        flags = 0x8180 | (3 if known is None else 0)
        head = data[:2] + struct.pack("!HHHHH", flags, 1, len(addresses), 0, 0)
        turn = self.queries % max(len(addresses), 1)
        records = b"".join(
            struct.pack("!HHHIH", 0xC00C, 1, 1, 1, 4) + ipaddress.IPv4Address(one).packed
            for one in addresses[turn:] + addresses[:turn])
        self.transport.sendto(head + data[12 : end + 4] + records, source)


def read_name(data, at):
    labels = []
    while data[at]:
        labels.append(data[at + 1 : at + 1 + data[at]].decode("latin-1").lower())
        at += 1 + data[at]
    return ".".join(labels), at + 1
