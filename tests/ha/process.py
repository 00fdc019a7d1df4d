"""The processes of a scenario: ossgate, the origin, HAProxy. Each is ended by its own id."""

import asyncio
import ctypes
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TICKS = os.sysconf("SC_CLK_TCK")
PR_SET_CHILD_SUBREAPER = 36

# This code acts as a service manager: it makes the socket descriptor 3, then becomes the process.
PASS_SOCKET = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


class Problem(Exception):
    """The reason why a scenario cannot continue."""


def adopt_orphans():
    """Makes this process the parent of orphans. After an upgrade, the parent of the new process ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def free_ports(count):
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


async def until(condition, seconds, what, step=0.02):
    """Waits until `condition` holds; it may be a coroutine function. Returns the elapsed seconds."""
    begin = time.monotonic()
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return time.monotonic() - begin
        if time.monotonic() - begin > seconds:
            raise Problem(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(step)


async def fetch(host, port, path, headers=(), version="1.1", limit=5):
    """Returns the status, header fields and body of one GET on a new connection. Status 0 means no response."""
    async def ask():
        reader, writer = await asyncio.open_connection(host, port)
        try:
            lines = [f"GET {path} HTTP/{version}", *(f"{name}: {value}" for name, value in headers)]
            if version == "1.1":
                lines += ["Host: img.example.test", "Connection: close"]
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
            return await reader.read()
        finally:
            writer.close()
    try:
        raw = await asyncio.wait_for(ask(), limit)
    except (OSError, asyncio.TimeoutError):
        return 0, {}, b""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    if " " not in first:
        return 0, {}, b""
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(first.split(" ")[1]), fields, body


def alive_with(argument):
    """Returns the processes that were started with `argument`, without zombies."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
            except OSError:
                continue
            if argument.encode() in words and state != "Z":
                found.append(int(entry.name))
    return sorted(found)


def cpu_seconds(pid):
    parts = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(parts[11]) + int(parts[12])) / TICKS


class Process:
    def __init__(self, command, log, **options):
        self.log = pathlib.Path(log)
        with self.log.open("ab") as output:
            options = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output, **options}
            self.child = subprocess.Popen([str(word) for word in command], **options)

    @property
    def pid(self):
        return self.child.pid

    def is_alive(self):
        return self.child.poll() is None

    def signal(self, number):
        if self.is_alive():
            self.child.send_signal(number)

    async def exit_code(self, seconds):
        await until(lambda: not self.is_alive(), seconds, f"{self.child.args[0]} ends")
        return self.child.returncode

    def kill(self):
        if self.is_alive():
            self.child.kill()
        self.child.wait()

    def last_words(self):
        return self.log.read_text(errors="replace")[-1500:]


class Ossgate:
    """One node: its config file, and the processes that serve it one after the other."""

    def __init__(self, binary, directory, name="node", prefix=()):
        self.binary, self.prefix = str(pathlib.Path(binary).resolve()), list(prefix)
        self.file = pathlib.Path(directory) / f"{name}.toml"
        self.log = pathlib.Path(directory) / f"{name}.log"
        self.started, self.adopted = [], set()

    def command(self, *words):
        return [*self.prefix, self.binary, *words, "--config", str(self.file)]

    def start(self, text=None, passed=None, **options):
        """Starts a process. `passed` is a (socket, name) pair that is passed on like by a service manager."""
        if text is not None:
            self.file.write_text(text)
        command = self.command("run")
        if passed:
            stream, name = passed
            command = [sys.executable, "-c", PASS_SOCKET, str(stream.fileno()), name, *command]
            options["pass_fds"] = (stream.fileno(),)
        process = Process(command, self.log, **options)
        self.started.append(process)
        return process

    async def started_at(self, host, port, seconds=20):
        """Waits until the newest process accepts connections at the address."""
        process = self.started[-1]

        async def is_open():
            if not process.is_alive():
                raise Problem(f"ossgate ended with {process.child.returncode}: {process.last_words()}")
            return (await fetch(host, port, "/o/1/1"))[0] == 200
        await until(is_open, seconds, f"ossgate serves: {process.last_words()}", 0.05)

    async def ask(self, *words, seconds=20):
        """Runs a command such as `reload`. Returns its exit code and output."""
        command = self.command(*words)
        child = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            output, _ = await asyncio.wait_for(child.communicate(), seconds)
        except asyncio.TimeoutError:
            child.kill()
            raise Problem(f"`ossgate {words[0]}` did not end within {seconds} s") from None
        return child.returncode, output.decode(errors="replace")

    def pids(self):
        """Returns the ids of the running processes that use the config file of this node."""
        return [pid for pid in alive_with(str(self.file)) if is_running(pid, self.binary)]

    def reap(self):
        """Returns the exit codes of adopted processes that have ended, by process id."""
        ended = {}
        own = {process.pid for process in self.started}
        for pid in list(self.adopted - own):
            try:
                found, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                continue
            if found:
                ended[pid] = os.waitstatus_to_exitcode(status)
                self.adopted.discard(pid)
        return ended

    def is_left(self, newest):
        """Returns whether an adopted process other than `newest` still exists, possibly as a zombie."""
        return any(pathlib.Path(f"/proc/{pid}").exists() for pid in self.adopted - {newest})

    def stop(self):
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)
        for process in self.started:
            process.kill()
        self.reap()

    def panics(self):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return [line[:300] for line in text.splitlines() if "panicked at" in line]


def is_running(pid, binary):
    try:
        return os.path.samefile(f"/proc/{pid}/exe", binary)
    except OSError:
        return False


class Origin:
    """The origin process and its commands."""

    def __init__(self, directory, addresses, port, dns=("127.0.0.1", None), prefix=()):
        self.addresses, self.port = addresses, port
        self.dns = (dns[0], dns[1] or free_ports(1)[0])
        self.process = Process(
            [*prefix, sys.executable, "-B", HERE / "origin.py", port, ",".join(addresses), *self.dns],
            pathlib.Path(directory) / "origin.log", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.child.stdout.readline().strip() != "ready":
            raise Problem(f"the origin did not start: {self.process.last_words()}")

    async def tell(self, **command):
        def exchange():
            self.process.child.stdin.write(json.dumps(command) + "\n")
            self.process.child.stdin.flush()
            return json.loads(self.process.child.stdout.readline())
        return await asyncio.to_thread(exchange)

    async def fault(self, address, mode, **facts):
        await self.tell(fault=address, mode=mode, **facts)

    def stop(self):
        self.process.kill()
