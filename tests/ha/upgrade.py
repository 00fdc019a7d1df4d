"""Upgrades under load: by SIGUSR2, and with a socket that a service manager keeps open."""

import asyncio
import os
import signal
import socket

from load import Load
from process import Origin, Ossgate, Problem, adopt_orphans, fetch, free_ports, until
from settings import ASK_MARKER, marker_of, toml

MIB = 1 << 20
# The seconds between two upgrades. The old process drains and the new one serves meanwhile.
PAUSE = 1.5
# The seconds without any process.
GAP = 0.5
SERVER = 'drain_timeout = "90s"'


async def run(bench):
    adopt_orphans()
    by_signal, by_manager = (4, 3) if bench.is_quick else (20, 20)
    rate, long = (200, 6) if bench.is_quick else (500, 20)
    origin = bench.keep(Origin(bench.directory, ["127.0.3.1", "127.0.3.2", "127.0.3.3"], free_ports(1)[0]))
    await origin.tell(names={"*": origin.addresses})
    await by_usr2(bench, origin, by_signal, rate, long)
    await by_kept_socket(bench, origin, by_manager, rate, long)
    bench.expect((await origin.tell(stats=True))["twice"] == [], "an upload arrived twice")


async def is_seen(port, marker):
    return marker_of((await fetch("127.0.0.1", port, "/o/9/1", ASK_MARKER))[1]) == marker


async def newest_serves(port, marker):
    """Returns whether several new connections all reach the newest process, so that the old one accepts none."""
    return all(await asyncio.gather(*(is_seen(port, marker) for _ in range(12))))


async def by_usr2(bench, origin, count, rate, long):
    port, admin = free_ports(2)
    node = bench.keep(Ossgate(bench.binary, bench.directory, "usr2"))
    text = lambda number: toml(origin, [f"127.0.0.1:{port}"], admin, f"m{number}", SERVER)  # noqa: E731
    node.start(text(0))
    await node.started_at("127.0.0.1", port)
    load = Load([("127.0.0.1", port)], rate).start().start_long(long, MIB)
    newest, waits, unready, reasons, codes, most = node.started[0].pid, [], [], [], {}, 1
    for number in range(1, count + 1):
        before = set(node.pids())
        node.file.write_text(text(number))
        if number % 4:
            os.kill(newest, signal.SIGUSR2)
        else:
            code, output = await node.ask("upgrade")
            bench.expect(code == 0, f"`ossgate upgrade` exits with {code}: {output[-300:]}")
        waits.append(await until(lambda: newest_serves(port, f"m{number}"), 15, f"upgrade {number} serves"))
        come = set(node.pids()) - before
        if len(come) != 1:
            raise Problem(f"upgrade {number} left {len(come)} new processes")
        newest = come.pop()
        node.adopted.add(newest)
        most = max(most, len(node.pids()))
        codes.update(node.reap())
        unready.append(await unready_seconds(admin, reasons))
        await asyncio.sleep(PAUSE)
    await dead_on_arrival(bench, node, newest, port, text(count), f"m{count}")
    tally = await load.stop()
    await until(lambda: node.pids() == [newest], 30, "the old processes end once their transfers have")
    # If a process ended before its parent, the parent has read its exit code. The next lines read the exit
    # codes of the others.
    await until(lambda: codes.update(node.reap()) or not node.is_left(newest), 5, "the old processes leave nothing behind")
    codes[node.started[0].pid] = await node.started[0].exit_code(5)
    bad = {pid: code for pid, code in codes.items() if code != 0}
    bench.expect(not bad, f"old processes ended with {sorted(bad.values())}")
    bench.figures.update(usr2=count, serves_max_s=round(max(waits), 2), unready_max_s=round(max(unready), 2),
                         most_processes=most, **tally.figures())
    bench.no_failures(tally)
    bench.expect(not reasons, f"/readyz after {len(reasons)} of {count} upgrades: {reasons[:1]}")
    os.kill(newest, signal.SIGTERM)
    await until(lambda: codes.update(node.reap()) or newest in codes, 10, "the last process drains")
    bench.expect(codes[newest] == 0, f"the last process ended with {codes[newest]}")


async def unready_seconds(admin, reasons):
    """Returns the seconds that the node was not ready. A load balancer must not notice an upgrade."""
    status, _, body = await fetch("127.0.0.1", admin, "/readyz")
    if status == 200:
        return 0
    reasons.append(f"{status} {body[:200]!r}")

    async def is_ready():
        return (await fetch("127.0.0.1", admin, "/readyz"))[0] == 200
    return await until(is_ready, 10, "ready after an upgrade")


async def dead_on_arrival(bench, node, newest, port, good, marker):
    """Checks that an upgrade whose process cannot start changes nothing."""
    node.file.write_text(good + "[nonsense]\nx = 1\n")
    before = set(node.pids())
    known = len(node.log.read_bytes())
    os.kill(newest, signal.SIGUSR2)
    await until(lambda: b"nonsense" in node.log.read_bytes()[known:], 10, "the log tells why the new process did not start")
    code, output = await node.ask("upgrade")
    bench.expect(code != 0, f"`ossgate upgrade` exits with 0 although the new process did not start: {output[-300:]}")
    await until(lambda: set(node.pids()) <= before, 10, "the process that could not start is gone")
    bench.expect(newest in node.pids(), "the old process ended although the new one did not start")
    bench.expect(await newest_serves(port, marker), "a failed upgrade has changed something")
    node.file.write_text(good)


async def by_kept_socket(bench, origin, count, rate, long):
    """Keeps the socket across processes: starts the new one with it, then ends the old one by SIGTERM."""
    keeper = socket.socket()
    keeper.bind(("127.0.0.1", 0))
    keeper.listen(1024)
    port = keeper.getsockname()[1]
    node = bench.keep(Ossgate(bench.binary, bench.directory, "kept"))
    text = lambda number: toml(origin, ["fd:web"], None, f"m{number}", SERVER)  # noqa: E731
    node.start(text(0), (keeper, "web"))
    await node.started_at("127.0.0.1", port)
    load = Load([("127.0.0.1", port)], rate, seed=2).start().start_long(long, MIB)
    for number in range(1, count + 1):
        old = node.started[-1]
        node.start(text(number), (keeper, "web"))
        await until(lambda: is_seen(port, f"m{number}"), 15, f"restart {number} serves")
        old.signal(signal.SIGTERM)
        await until(lambda: newest_serves(port, f"m{number}"), 15, "the old process takes no more connections")
        await asyncio.sleep(PAUSE)
    tally = await load.stop()
    # For a short time there is no process, and the kernel queues new connections.
    load = Load([("127.0.0.1", port)], rate, seed=3).start()
    await asyncio.sleep(PAUSE)
    node.started[-1].signal(signal.SIGTERM)
    await asyncio.sleep(GAP)
    node.start(text(count + 1), (keeper, "web"))
    await until(lambda: newest_serves(port, f"m{count + 1}"), 15, "a restart after a gap serves")
    gap = await load.stop()
    for process in node.started[:-1]:
        code = await process.exit_code(30)
        bench.expect(code == 0, f"a process ended by SIGTERM had the exit code {code}")
    keeper.close()
    figures = tally.figures()
    bench.figures.update(kept=count, kept_requests=figures["requests"], kept_failed=figures["failed"],
                         kept_p99_ms=figures["p99_ms"], gap_requests=gap.total, gap_failed=len(gap.failures))
    bench.no_failures(tally)
    bench.no_failures(gap)
