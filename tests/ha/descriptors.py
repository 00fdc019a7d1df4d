"""A process without free file descriptors neither spins nor crashes. Afterwards it serves every
request."""

import asyncio
import resource
import time

from load import Load, long_get
from process import Origin, Ossgate, cpu_seconds, fetch, free_ports, until
from settings import toml
from wire import Failure, open_streams

LIMIT, CONNECTIONS, SECONDS = 256, 1000, 4


async def run(bench):
    # The default of `max_connections` follows from the descriptor limit. The second config asks for more.
    for name, more in (("default", ""), ("unlimited", "max_connections = 100000")):
        await exhaust(bench, name, more)


async def exhaust(bench, name, more):
    port, admin, origin_port = free_ports(3)
    origin = bench.keep(Origin(bench.directory, ["127.0.3.1", "127.0.3.2"], origin_port))
    await origin.tell(names={"*": origin.addresses})
    node = bench.keep(Ossgate(bench.binary, bench.directory, f"fds-{name}"))
    limits = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))  # noqa: E731
    text = toml(origin, [f"127.0.0.1:{port}"], admin, listener_more=more)
    process = node.start(text, preexec_fn=limits)
    try:
        await node.started_at("127.0.0.1", port)
    except Exception as problem:
        # The process may reject a config that asks for more than its limit. This ends the case.
        if name == "unlimited" and "max_connections" in process.last_words():
            bench.figures["unlimited"] = "refused"
            return
        raise problem
    transfer = Load([("127.0.0.1", port)], 1)
    running = asyncio.create_task(transfer.one("long get", lambda where: long_get(where, 4 << 20, 1 << 20), transfer.targets[0]))
    for one in origin.addresses:
        await origin.fault(one, "delay", seconds=2)
    held = await asyncio.gather(*(hold(port, number % 2) for number in range(CONNECTIONS)))
    opened = [one for one in held if one]
    before, begin = cpu_seconds(process.pid), time.monotonic()
    admin_status = (await fetch("127.0.0.1", admin, "/healthz"))[0]
    await asyncio.sleep(SECONDS)
    share = (cpu_seconds(process.pid) - before) / (time.monotonic() - begin)
    bench.expect(process.is_alive(), f"{name}: the process ended: {process.last_words()}")
    bench.expect(share < 0.2, f"{name}: {share:.0%} of a core while full")
    bench.expect(len(opened) > LIMIT, f"{name}: only {len(opened)} connections came to wait")
    bench.expect(admin_status == 200, f"{name}: /healthz answers {admin_status} while full")
    for one in opened:
        one.transport.abort()
    for one in origin.addresses:
        await origin.fault(one, "ok")
    await running
    bench.expect(not transfer.tally.failures, f"{name}: the running transfer: {transfer.tally.problems()}")

    # The workers learn of the closed connections one after the other. As long as one worker still counts
    # them, it turns new connections away.
    async def is_serving():
        _, _, text = await fetch("127.0.0.1", admin, "/metrics")
        accepted, now_open = (total(text, f"ossgate_connections{end}") for end in ("_accepted_total", ""))
        served = (await fetch("127.0.0.1", port, "/o/9/1"))[0] == 200
        return served and accepted >= len(opened) and now_open <= 1
    back = await until(is_serving, 15, f"{name}: serves again")
    after = await Load([("127.0.0.1", port)], 100).run(100)
    bench.expect(not after.failures, f"{name}, afterwards: " + "; ".join(after.problems()))
    bench.figures.update({f"{name}_held": len(opened), f"{name}_cpu": f"{share:.1%}", f"{name}_back_s": round(back, 2),
                          f"{name}_after": f"{after.done.total()}/100"})
    node.stop()
    origin.stop()


def total(text, metric):
    """Returns the sum of all series of `metric` in the text of /metrics."""
    lines = text.decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{metric}{{", f"{metric} ")))


async def hold(port, asks):
    """Opens a connection and keeps it open. With `asks`, it has a request in flight."""
    try:
        _, writer = await open_streams("127.0.0.1", port)
    except Failure:
        return None
    if asks:
        writer.write(b"GET /o/1000/1 HTTP/1.1\r\nHost: img.example.test\r\n\r\n")
    return writer
