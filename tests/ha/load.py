"""Sends requests at a constant rate that does not depend on the proxy, and counts every failure.

In two cases a client opens a new connection and counts no failure: its kept-alive connection was closed
before it wrote anything, or its HTTP/2 stream was refused unprocessed. A request that was written and got
no response has failed.
"""

import asyncio
import collections
import dataclasses
import hashlib
import itertools
import random
import time

import objects
from http2 import Connection2
from wire import Answer, Connection, Failure, Unsent

HOST = "img.example.test"
SMALL = [(400, 1), (2000, 2), (8000, 3), (30_000, 4), (100_000, 5)]
TIMEOUT = 30
# The maximum number of requests in flight. Above it, the machine is too slow: the load waits, and records how
# long.
MOST_AT_A_TIME = 250
# Every upload has its own key, so the origin can detect an upload that is sent twice.
UPLOADS = itertools.count(1)


@dataclasses.dataclass
class Failed:
    reason: str
    detail: str
    kind: str
    began: float
    ended: float


class Tally:
    def __init__(self):
        self.done, self.failures = collections.Counter(), []
        self.times, self.reopened, self.seconds_held_back = [], 0, 0.0

    @property
    def total(self):
        return sum(self.done.values()) + len(self.failures)

    def after(self, moment, kinds=None):
        """Returns the failures of requests that began after `moment`."""
        return [one for one in self.failures if one.began > moment and (not kinds or one.kind in kinds)]

    def figures(self):
        times = sorted(self.times) or [0]
        figures = dict(requests=self.total, failed=len(self.failures), reopened=self.reopened)
        figures["p50_ms"] = round(times[len(times) // 2] * 1000, 1)
        figures["p99_ms"] = round(times[len(times) * 99 // 100] * 1000, 1)
        figures["max_ms"] = round(times[-1] * 1000)
        if self.seconds_held_back:
            figures["held_back_s"] = round(self.seconds_held_back, 1)
        long = {kind: count for kind, count in sorted(self.done.items()) if kind.startswith("long")}
        if long:
            figures["transfers"] = sum(long.values())
        return figures

    def problems(self, failures=None):
        """Returns one line for each kind and reason of failure, with an example."""
        groups = collections.defaultdict(list)
        for one in self.failures if failures is None else failures:
            groups[(one.kind, one.reason)].append(one)
        return [f"{len(ones)} x {kind} {reason} ({ones[0].detail[:200]})" for (kind, reason), ones in groups.items()]


class Slots:
    """Kept-alive HTTP/1.1 connections to one target. They are used in turn, so none is idle for long."""

    def __init__(self, target, tally):
        self.target, self.tally, self.free = target, tally, collections.deque()

    async def take(self):
        while self.free:
            connection = self.free.popleft()
            if connection.is_usable():
                return connection
            connection.close()
            self.tally.reopened += 1
        return await Connection.open(*self.target)

    def give(self, connection):
        if len(self.free) < 32:
            self.free.append(connection)
        else:
            connection.close()


class Load:
    """A load on `targets`, (host, port) pairs, in turn. `mix` has the weights of the kinds keep, new, put
    and h2."""

    # The loads that have not ended. Their failures can explain why a scenario failed.
    open = []

    def __init__(self, targets, rate, mix=None, seed=1):
        self.targets, self.rate, self.tally = targets, rate, Tally()
        self.mix = mix or {"keep": 45, "new": 20, "put": 15, "h2": 20}
        self.random = random.Random(seed)
        self.slots = {target: Slots(target, self.tally) for target in targets}
        self.multiplexed = {target: [None] * 4 for target in targets}
        self.is_over, self.running, self.long = asyncio.Event(), set(), []

    # Each of the next methods sends one request of a kind and raises Failure unless the response is right.

    async def keep(self, target):
        size, seed = self.random.choice(SMALL)
        connection = await self.slots[target].take()
        self.finish(target, connection, *await ask_get(connection, size, seed))

    async def new(self, target):
        size, seed = self.random.choice(SMALL)
        connection = await Connection.open(*target)
        answer = await ask_get(connection, size, seed, [("Connection", "close")])
        connection.close()
        judge(*answer)

    async def put(self, target):
        size, seed = self.random.choice(SMALL)
        connection = await self.slots[target].take()
        body = objects.pieces(seed, 0, size)
        self.finish(target, connection, *await ask_put(connection, f"/p/{next(UPLOADS)}", size, seed, body))

    async def h2(self, target):
        size, seed = self.random.choice(SMALL)
        for attempt in range(5):
            connection = await self.stream_of(target)
            try:
                return await check_h2(connection, "GET", objects.path(size, seed), size, seed)
            except Unsent:
                self.tally.reopened += 1
        raise Failure("goaway", f"refused unprocessed {attempt + 1} times")

    async def stream_of(self, target):
        held = self.multiplexed[target]
        at = self.random.randrange(len(held))
        if held[at] is None or (not isinstance(held[at], asyncio.Task) and not held[at].is_usable()):
            if held[at]:
                self.tally.reopened += 1
            held[at] = asyncio.create_task(Connection2.open(*target))
        if isinstance(held[at], asyncio.Task):
            opening = held[at]
            try:
                connection = await asyncio.shield(opening)
            except Failure:
                if held[at] is opening:
                    held[at] = None
                raise
            if held[at] is opening:
                held[at] = connection
            return connection
        return held[at]

    def finish(self, target, connection, answer, head, is_right):
        """Keeps the connection after any status, like SDKs, unless the response has `Connection: close`."""
        if answer.says_close:
            connection.close()
        else:
            self.slots[target].give(connection)
        judge(answer, head, is_right)

    # The following methods run the load.

    async def one(self, kind, run, target, limit=TIMEOUT):
        began = time.monotonic()
        try:
            async with asyncio.timeout(limit):
                await run(target)
            self.tally.done[kind] += 1
            if not kind.startswith("long"):
                self.tally.times.append(time.monotonic() - began)
            return
        except Failure as failure:
            reason, detail = failure.reason, str(failure)
        except TimeoutError:
            reason, detail = "timeout", f"not done after {limit} s"
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001: an unreadable response is a failure too
            reason, detail = "unreadable", repr(error)
        self.tally.failures.append(Failed(reason, detail, kind, began, time.monotonic()))

    def spawn(self, *arguments):
        task = asyncio.create_task(self.one(*arguments))
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    async def loop(self, count=None):
        kinds, weights = list(self.mix), list(self.mix.values())
        begin, sent = time.monotonic(), 0
        while not self.is_over.is_set() and (count is None or sent < count):
            due = int((time.monotonic() - begin) * self.rate) + 1
            while sent < due and (count is None or sent < count) and len(self.running) < MOST_AT_A_TIME:
                kind = self.random.choices(kinds, weights)[0]
                self.spawn(kind, getattr(self, kind), self.targets[sent % len(self.targets)])
                sent += 1
            if len(self.running) >= MOST_AT_A_TIME:
                # Requests that became due during the wait are skipped, not sent later.
                began_waiting = time.monotonic()
                await asyncio.wait(self.running, return_when=asyncio.FIRST_COMPLETED)
                begin += time.monotonic() - began_waiting
                self.tally.seconds_held_back += time.monotonic() - began_waiting
            await asyncio.sleep(max(begin + sent / self.rate - time.monotonic(), 0.001))

    def start(self):
        self.task = asyncio.create_task(self.loop())
        Load.open.append(self)
        return self

    def start_long(self, seconds, rate):
        """Starts slow downloads and uploads over both protocols. Each is repeated until the load ends."""
        for kind, run in LONG.items():
            self.long.append(asyncio.create_task(self.repeat(kind, run, seconds, rate)))
        return self

    async def repeat(self, kind, run, seconds, rate):
        while not self.is_over.is_set():
            began = time.monotonic()
            target = self.targets[len(self.long) % len(self.targets)]
            await self.one(kind, lambda where: run(where, int(seconds * rate), rate), target, seconds * 2 + TIMEOUT)
            if time.monotonic() - began < seconds / 2:  # the transfer failed: wait before the next one
                await asyncio.sleep(0.5)

    async def stop(self):
        """Stops sending requests, waits for those in flight, and returns the tally."""
        self.is_over.set()
        await self.task
        await self.settle()
        Load.open.remove(self)
        self.close()
        return self.tally

    async def settle(self):
        await asyncio.gather(*self.running, *self.long)

    async def run(self, count):
        """Sends exactly `count` requests and returns the tally."""
        await self.loop(count)
        await self.settle()
        self.close()
        return self.tally

    def close(self):
        for slots in self.slots.values():
            for connection in slots.free:
                connection.close()
        for held in self.multiplexed.values():
            for connection in held:
                if isinstance(connection, Connection2):
                    connection.close()


async def ask_get(connection, size, seed, headers=(), pace=None):
    """Returns the response, the first bytes of its body, and whether the body is the object."""
    try:
        answer = await connection.answer("GET", HOST, objects.path(size, seed), headers)
        digest, head = hashlib.md5(), b""
        async for part in connection.body(answer, pace):
            digest.update(part)
            head = head or part
    except BaseException:
        connection.close()
        raise
    return answer, head, digest.hexdigest() == objects.md5(size, seed)


async def ask_put(connection, path, size, seed, body):
    try:
        answer = await connection.answer("PUT", HOST, path, body=body, length=size)
        head = b"".join([part async for part in connection.body(answer)])
    except BaseException:
        connection.close()
        raise
    return answer, head, answer.headers.get("etag") == f'"{objects.md5(size, seed).upper()}"'


async def check_h2(connection, method, path, size, seed, body=None, pace=None):
    digest, status, head = hashlib.md5(), None, b""
    length = size if method == "PUT" else None
    async for part in connection.exchange(method, HOST, path, body=body or (), length=length, pace=pace):
        if status is None:
            status = part
        else:
            digest.update(part)
            head = head or part
    judge(Answer(status, {}), head, method == "PUT" or digest.hexdigest() == objects.md5(size, seed))


def judge(answer, head, is_right):
    if answer.status != 200:
        raise Failure("5xx" if answer.status >= 500 else "status", f"{answer.status} {head[:300]!r}")
    if not is_right:
        raise Failure("wrong body", f"begins with {head[:40]!r}")


def pacer(rate):
    begin = time.monotonic()

    async def pace(done):
        await asyncio.sleep(max(begin + done / rate - time.monotonic(), 0))
    return pace


async def slow_pieces(size, seed, rate):
    pace, done = pacer(rate), 0
    for part in objects.pieces(seed, 0, size, 16 * 1024):
        yield part
        done += len(part)
        await pace(done)


async def long_get(target, size, rate):
    connection = await Connection.open(*target, receive=128 * 1024)
    answer = await ask_get(connection, size, 11, pace=pacer(rate))
    connection.close()
    judge(*answer)


async def long_put(target, size, rate):
    connection = await Connection.open(*target)
    answer = await ask_put(connection, f"/p/long-{next(UPLOADS)}", size, 12, slow_pieces(size, 12, rate))
    connection.close()
    judge(*answer)


async def long_h2(target, method, size, rate):
    connection = await Connection2.open(*target)
    try:
        if method == "GET":
            await check_h2(connection, "GET", objects.path(size, 13), size, 13, pace=pacer(rate))
        else:
            path = f"/p/long-{next(UPLOADS)}"
            await check_h2(connection, "PUT", path, size, 14, body=slow_pieces(size, 14, rate))
    except Unsent:
        raise Failure("goaway", "a running transfer was refused") from None
    finally:
        connection.close()


LONG = {
    "long get": long_get,
    "long put": long_put,
    "long h2 get": lambda target, size, rate: long_h2(target, "GET", size, rate),
    "long h2 put": lambda target, size, rate: long_h2(target, "PUT", size, rate),
}
