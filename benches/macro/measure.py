"""Measures one run: CPU time and memory of the proxy, under a load whose responses are checked."""

import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import time

KIB, MIB, GIB = 2**10, 2**20, 2**30

# `port` selects the encryption. `plain`: client and origin without TLS; `tls`: only the client with TLS;
# `tls_to_tls`: both with TLS. `n` is the number of requests per round.
CASES = {
    "h1": dict(kind="h2load", port="plain", path="/1k", n=40000, c=32, bytes=KIB),
    "tls": dict(kind="h2load", port="tls", path="/1k", n=40000, c=32, bytes=KIB),
    "h2": dict(kind="h2load", port="tls", path="/1k", n=40000, c=8, m=16, bytes=KIB),
    "h2-1": dict(kind="h2load", port="tls", path="/1k", n=20000, c=32, m=1, bytes=KIB),
    "h1-1m": dict(kind="h2load", port="plain", path="/1m", n=2000, c=8, bytes=MIB),
    "tls-1m": dict(kind="h2load", port="tls", path="/1m", n=1500, c=8, bytes=MIB),
    "h2-1m": dict(kind="h2load", port="tls", path="/1m", n=1000, c=4, m=4, bytes=MIB),
    "put-1m": dict(kind="upload", port="plain", path="/sink", file="1m", n=1000, c=8, bytes=MIB),
    "put-tls-1m": dict(kind="upload", port="tls", path="/sink", file="1m", n=700, c=8, bytes=MIB),
    "handshake": dict(kind="handshake", port="tls", n=600),
    "idle-plain": dict(kind="idle", port="plain", n=10000),
    "idle-tls": dict(kind="idle", port="tls", n=10000),
    "latency-h1": dict(kind="latency", port="plain", path="/1k", n=6000, bytes=KIB),
    "latency-tls": dict(kind="latency", port="tls", path="/1k", n=6000, bytes=KIB),
}


def tree(pid):
    """Returns the ids of the process and its descendants."""
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parent = int(stat[stat.rindex(")") + 2 :].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        todo += children.get(one, [])
    return found


def cpu_ns(pids):
    """Returns the CPU time used by the processes, kernel included, in nanoseconds."""
    total = 0
    for pid in pids:
        for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                total += int(stat.read_text().split()[0])
            except OSError:
                pass
    return total


def pss_kib(pids):
    """Returns the memory in KiB, with shared pages counted proportionally (PSS)."""
    total = 0
    for pid in pids:
        try:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1])
    return total


def on_cpu(cpu, command, timeout=120):
    done = subprocess.run(["taskset", "-c", str(cpu), *command], capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]}: {(done.stdout + done.stderr)[-600:]}")
    return done.stdout


def h2load(case, url, cpu, log=None):
    """Runs the load. Fails if a request failed or a body was too short."""
    command = ["h2load", "-n", str(case["n"]), "-c", str(case.get("c", 1))]
    if "m" in case:
        command += ["-m", str(case["m"])]
        # The flow-control windows are 1 and 4 MiB, so that the client does not limit large bodies.
        command += ["-w", "20", "-W", "22"]
    else:
        command += ["--h1"]
    # These header fields are from a page of another site. Only the policies of a route read them.
    command += ["-H", "referer: https://www.example.com/page", "-H", "origin: https://www.example.com"]
    if log:
        command += ["--log-file", log]
    if "file" in case:
        command += ["-d", case["file"]]
    out = on_cpu(cpu, [*command, url])
    requests = re.search(r"requests: (\d+) total.* (\d+) succeeded, (\d+) failed", out)
    data = re.search(r"\((\d+)\) data", out)
    if not requests or requests[2] != requests[1] or ("file" not in case and int(data[1]) != case["n"] * case["bytes"]):
        raise RuntimeError(out[-600:])
    rate = re.search(r"([\d.]+) req/s", out)
    return float(rate[1])


def measure(target, name, case, cpu):
    """Runs one case against one running target and returns the measured values."""
    port = target.ports[case["port"]]
    scheme = "http" if case["port"] == "plain" else "https"
    url = f"{scheme}://127.0.0.1:{port}{case.get('path', '/1k')}"
    if case["kind"] == "idle":
        return idle(target, case, port, cpu)
    pids = tree(target.pid)
    before = cpu_ns(pids)
    figures = {}
    if case["kind"] in ("h2load", "upload"):
        figures["rps"] = h2load(case, url, cpu)
    elif case["kind"] == "latency":
        log = f"/tmp/ossgate-latency.{os.getpid()}"
        pathlib.Path(log).unlink(missing_ok=True)
        h2load(case, url, cpu, log)
        times = sorted(int(line.split("\t")[2]) for line in open(log) if line.count("\t") >= 2)
        pathlib.Path(log).unlink()
        figures["p50_us"] = times[len(times) // 2]
        figures["p99_us"] = times[len(times) * 99 // 100]
    else:
        on_cpu(cpu, [sys.executable, __file__, "handshakes", str(port), str(case["n"])])
    figures["cpu_us"] = (cpu_ns(pids) - before) / 1e3 / case["n"]
    if case.get("bytes", 0) >= MIB:
        figures["cpu_s_per_gib"] = figures["cpu_us"] / 1e6 * GIB / case["bytes"]
    return figures


def idle(target, case, port, cpu):
    """Measures the memory of idle connections, after each has served one request."""
    target.restart()
    is_tls = case["port"] != "plain"
    on_cpu(cpu, [sys.executable, __file__, "hold", str(port), "50", str(int(is_tls)), "0"])
    before = pss_kib(tree(target.pid))
    holder = subprocess.Popen(
        ["taskset", "-c", str(cpu), sys.executable, __file__, "hold", str(port), str(case["n"]), str(int(is_tls)), "1"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if holder.stdout.readline().strip() != "ready":
        raise RuntimeError("the idle connections were not served")
    # The loop waits until the memory no longer falls, because buffers are freed after some idle seconds.
    last, since = 1 << 60, time.monotonic()
    while time.monotonic() - since < 3:
        now = pss_kib(tree(target.pid))
        if now < last - 64:
            last, since = now, time.monotonic()
        time.sleep(0.25)
    holder.communicate("\n", timeout=60)
    return dict(base_kib=before, kib_per_connection=(last - before) / case["n"])


def client_tls():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


REQUEST = b"GET /1k HTTP/1.1\r\nHost: localhost\r\n\r\n"


def read_answer(stream):
    got = b""
    while b"\r\n\r\n" not in got or len(got) < got.index(b"\r\n\r\n") + 4 + KIB:
        piece = stream.recv(65536)
        if not piece:
            raise SystemExit("closed early")
        got += piece


def hold(port, count, is_tls, waits):
    context, held = client_tls(), []
    for _ in range(count):
        # With a timeout, so that a proxy with a lower limit ends the run with an error instead of stopping it.
        stream = socket.create_connection(("127.0.0.1", port), timeout=30)
        if is_tls:
            stream = context.wrap_socket(stream, server_hostname="localhost")
        stream.sendall(REQUEST)
        read_answer(stream)
        held.append(stream)
    if waits:
        print("ready", flush=True)
        sys.stdin.readline()


def handshakes(port, count):
    context = client_tls()
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", port)) as plain:
            stream = context.wrap_socket(plain, server_hostname="localhost")
            stream.sendall(REQUEST)
            read_answer(stream)
            stream.close()


if __name__ == "__main__":
    if sys.argv[1] == "hold":
        port, count, is_tls, waits = map(int, sys.argv[2:])
        hold(port, count, is_tls, waits)
    elif sys.argv[1] == "handshakes":
        handshakes(*map(int, sys.argv[2:]))
