#!/usr/bin/env python3
"""Runs ossgate like systemd does: sockets passed by name, signals, and notifications by sd_notify.

    systemd.py --ossgate PATH

Rows: two sockets by name; readiness; the watchdog; reloads by SIGHUP, good and bad; upgrades by SIGUSR2,
under load and with a new process that cannot start; the stop by SIGTERM. Left out: features that need systemd
as process 1, such as the sandbox of the unit, which deploy/check verifies.

Needs systemd-socket-activate (Debian: systemd). Loopback only.
"""
import argparse, contextlib, ctypes, http.client, http.server, os, pathlib, select, signal, socket, struct
import subprocess, sys, tempfile, threading, time

PATIENCE = 30  # the maximum number of seconds to wait for one condition
HALF = b"x" * 300_000

class Origin(http.server.ThreadingHTTPServer):
    """Responds to every GET with its path. A path that ends in /slow gets two halves, the second after a
    release."""
    daemon_threads = True
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.is_asked_slowly, self.is_released = threading.Event(), threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        is_slow = self.path.endswith("/slow")
        first, second = (HALF, HALF) if is_slow else (self.path.encode(), b"")
        self.send_response(200)
        self.send_header("Content-Length", str(len(first + second)))
        self.end_headers()
        self.wfile.write(first)
        if is_slow:
            self.server.is_asked_slowly.set()
            self.server.is_released.wait(PATIENCE)
        self.wfile.write(second)
    def log_message(self, *_):
        pass

class Notices:
    """The notifications that NOTIFY_SOCKET received, as (pid, key, value) in order."""
    def __init__(self, path):
        self.seen, self.changed = [], threading.Condition()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(path)
        threading.Thread(target=self._receive, daemon=True).start()
    def _receive(self):
        while True:
            text, extra, _, _ = self.socket.recvmsg(4096, 256)
            pid = next(struct.unpack("iII", data)[0] for _, kind, data in extra if kind == socket.SCM_CREDENTIALS)
            with self.changed:
                self.seen += [(pid, *line.partition("=")[::2]) for line in text.decode().splitlines()]
                self.changed.notify_all()
    def find(self, key, since=0, pid=None):
        """Returns the positions and values of `key` from position `since` on, only those from `pid` if given."""
        return [(place, value) for place, (sender, name, value) in enumerate(self.seen)
                if place >= since and name == key and pid in (None, sender)]
    def wait(self, key, since=0, pid=None, count=1):
        """Waits for the `count`th notification of `key` and returns its position and value."""
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.find(key, since, pid)) >= count, PATIENCE):
                raise AssertionError(f"no {key} from {pid or 'anyone'}; came: {self.seen[since:]}")
            return self.find(key, since, pid)[count - 1]

class Load:
    """Clients that send requests without a pause and count failures. Half of them keep their connections."""
    def __init__(self, port):
        self.port, self.served, self.failed = port, 0, []
        self.is_over, self.changed = threading.Event(), threading.Condition()
        self.clients = [threading.Thread(target=self._ask, args=(is_kept,)) for is_kept in (True, False) * 2]
        for client in self.clients:
            client.start()
    def _ask(self, is_kept):
        connection = None
        while not self.is_over.is_set():
            problem, ends = None, not is_kept
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
                connection.request("GET", "/load")
                response = connection.getresponse()
                if response.status != 200 or not response.read().endswith(b"/load"):
                    problem = f"{response.status} {response.headers}"
                ends = ends or response.will_close
            except (OSError, http.client.HTTPException) as error:
                problem, ends = repr(error), True
            connection = connection.close() if ends else connection
            with self.changed:
                self.served += not problem
                self.failed += [problem] if problem else []
                self.changed.notify_all()
    def serve_more(self, count):
        with self.changed:
            aim = self.served + count
            assert self.changed.wait_for(lambda: self.served >= aim, PATIENCE), f"at a halt: {self.failed[:3]}"
    def end(self):
        self.is_over.set()
        for client in self.clients:
            client.join(PATIENCE)

def free_ports():
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]

def get(port, path):
    """Returns the status and the body of a GET."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()

def wait_for_answer(port, path, expected):
    """Repeats a request until the response is `expected`."""
    deadline, last = time.monotonic() + PATIENCE, None
    while last != expected:
        if time.monotonic() > deadline:
            raise AssertionError(f"{path}: not {expected} but {last}")
        try:
            last = get(port, path)
        except ConnectionRefusedError as error:
            last = error

def exit_code(pid):
    """Waits until the process `pid`, a child or an adopted one, has ended. Returns its exit code."""
    pidfd = os.pidfd_open(pid)
    is_over, _, _ = select.select([pidfd], [], [], PATIENCE)
    os.close(pidfd)
    assert is_over, f"process {pid} does not end"
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def kill_remaining_processes():
    children = pathlib.Path(f"/proc/self/task/{os.getpid()}/children")
    while left := children.read_text().split():
        for pid in map(int, left):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

class Test:
    def __init__(self, binary, directory):
        self.binary, self.directory = binary, directory
        self.origin, self.notices = Origin(), Notices(f"{directory}/notify")
        self.origin_address = f"127.0.0.1:{self.origin.server_port}"
        self.port, self.second = free_ports()
        self.config = self.write("ossgate.toml", "first/")
        command = ["systemd-socket-activate", f"--listen=127.0.0.1:{self.port}", f"--listen=127.0.0.1:{self.second}",
                   "--fdname=http:second", f"--setenv=NOTIFY_SOCKET={directory}/notify",
                   "--setenv=WATCHDOG_USEC=2000000", binary, "run", "-c", self.config]
        with open(directory / "output", "wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        self.main = self.process.pid
    def write(self, name, prefix, line=""):
        (self.directory / name).write_text(f"""{line}
            server = {{ workers = 2 }}
            admin = {{ address = "unix:{self.directory}/admin.sock" }}
            log = {{ access = "off" }}
            [[listener]]
            address = "fd:second"
            health_path = "/health"
            [[listener]]
            address = "fd:http"
            [[route]]
            origin = {{ bucket = "examplebucket", endpoint = "{self.origin_address}", tls = false, prefix = "{prefix}" }}
        """)
        return str(self.directory / name)
    def reload(self):
        mark = len(self.notices.seen)
        os.kill(self.main, signal.SIGHUP)
        place, _ = self.notices.wait("RELOADING", since=mark)
        self.notices.wait("READY", since=place)

    def sockets_are_identified_by_name(self):
        wait_for_answer(self.port, "/health", (200, b"/examplebucket/first/health"))
        # The node becomes ready when its first connection to the origin has succeeded.
        wait_for_answer(self.second, "/health", (200, b"ready\n"))
    def readiness_and_watchdog_are_notified(self):
        self.notices.wait("READY", pid=self.main)
        self.notices.wait("STATUS", pid=self.main)
        self.notices.wait("WATCHDOG", pid=self.main, count=2)
    def sighup_loads_a_changed_config(self):
        self.write("ossgate.toml", "other/")
        self.reload()
        wait_for_answer(self.port, "/a", (200, b"/examplebucket/other/a"))
    def sighup_with_a_bad_config_changes_nothing(self):
        self.write("ossgate.toml", "bad/", "unknown_key = 1")
        self.reload()
        assert get(self.port, "/a") == (200, b"/examplebucket/other/a")
        self.write("ossgate.toml", "other/")
    def sigusr2_upgrades_without_a_lost_request(self):
        slow, old, mark = [], self.main, len(self.notices.seen)
        client = threading.Thread(target=lambda: slow.append(get(self.port, "/slow")))
        client.start()
        assert self.origin.is_asked_slowly.wait(PATIENCE), "the slow transfer does not begin"
        load = Load(self.port)
        try:
            load.serve_more(100)
            os.kill(old, signal.SIGUSR2)
            told, new = self.notices.wait("MAINPID", since=mark)
            self.main = int(new)
            self.notices.wait("READY", since=mark, pid=self.main)
            load.serve_more(200)
            self.origin.is_released.set()
            assert exit_code(old) == 0
            load.serve_more(200)
        finally:
            load.end()
        client.join(PATIENCE)
        assert slow == [(200, HALF * 2)], "the running transfer was cut"
        assert not load.failed, f"{len(load.failed)} of {load.served}: {load.failed[:3]}"
        self.notices.wait("WATCHDOG", since=told, pid=self.main, count=2)
        # systemd treats STOPPING=1 from any process of the unit as the end of the whole unit.
        assert not self.notices.find("STOPPING"), "the old process notified the end of the service"
    def an_upgrade_that_fails_changes_nothing(self):
        good, mark = self.write("good.toml", "other/"), len(self.notices.seen)
        self.write("ossgate.toml", "bad/", "unknown_key = 1")
        done = subprocess.run([self.binary, "upgrade", "-c", good], capture_output=True, timeout=PATIENCE)
        assert done.returncode != 0 and done.stderr, done
        assert get(self.port, "/a") == (200, b"/examplebucket/other/a")
        assert not self.notices.find("MAINPID", mark)
    def sigterm_ends_the_process_with_0(self):
        os.kill(self.main, signal.SIGTERM)
        self.notices.wait("STOPPING", pid=self.main)
        assert exit_code(self.main) == 0

    CHECKS = (sockets_are_identified_by_name, readiness_and_watchdog_are_notified, sighup_loads_a_changed_config,
              sighup_with_a_bad_config_changes_nothing, sigusr2_upgrades_without_a_lost_request,
              an_upgrade_that_fails_changes_nothing, sigterm_ends_the_process_with_0)

def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--ossgate", required=True, type=pathlib.Path)
    binary = str(arguments.parse_args().ossgate.resolve())
    # After an upgrade, the parent of the new process has ended. As a subreaper, this process becomes its
    # parent and can read its exit code.
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    with tempfile.TemporaryDirectory() as directory:
        test = Test(binary, pathlib.Path(directory))
        try:
            for check in test.CHECKS:
                check(test)
                print("ok   ", check.__name__.replace("_", " "), flush=True)
        except BaseException:
            print((test.directory / "output").read_text()[-3000:], file=sys.stderr)
            raise
        finally:
            kill_remaining_processes()

if __name__ == "__main__":
    main()
