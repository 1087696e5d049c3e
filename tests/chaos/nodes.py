"""A Ray cluster of a head and further nodes, each a machine of its own as far as network, host name and disk go.

With namespaces a node has an interface on a bridge, a host name, and folders of its own for Ray and for caches; everything in
its network namespace is the node. Without, the nodes share the loopback, and a node is what has its name in the environment.
"""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil
from tests.chaos.processes import command_of, ended, free_port, kill, marked, net_inode, start, wait_for

__all__ = ["BRIDGE", "Cluster", "Node", "make_bridge"]

BRIDGE = "rc0"
SUBNET = "10.83.0"
WORKERS = 2  # beside the head
JOINING = 180.0  # seconds
NODE = "RETORT_CHAOS_NODE"
RAY = str(Path(sys.executable).with_name("ray"))
MEMORY = 100 * 1024**2  # of a node's object store: units pass file names, not vectors
# The node's own host name and folder of Ray; then Ray, once the interface is there.
SETUP = """
set -e
hostname "$1"
mount --bind "$2" "$3"
echo ready
read -r go
shift 3
exec "$@" > "$LOG" 2>&1 < /dev/null
"""


def make_bridge(folder: Path) -> str:
    """Make the bridge that joins the nodes, in the suite's own network namespace; returns the suite's address on it.

    Names are looked up in a file of the suite's own, and nowhere else: torch asks for the names of its peers, and would wait
    for a name server that cannot be reached.
    """
    names = {f"{SUBNET}.1": "chaos", **{_address(number): _name(number) for number in range(WORKERS + 1)}}
    hosts, resolver = folder / "hosts", folder / "resolv.conf"
    hosts.write_text(
        "127.0.0.1 localhost\n" + "".join(f"{at} {name}\n" for at, name in names.items()), encoding="utf-8"
    )
    resolver.write_text("", encoding="utf-8")
    for own, of_all in ((hosts, "/etc/hosts"), (resolver, "/etc/resolv.conf")):
        subprocess.run(["mount", "--bind", str(own), of_all], check=True)
    subprocess.run(["hostname", "chaos"], check=True)
    _ip("link", "set", "lo", "up")
    _ip("link", "add", BRIDGE, "type", "bridge")
    _ip("addr", "add", f"{SUBNET}.1/24", "dev", BRIDGE)
    _ip("link", "set", BRIDGE, "up")
    return f"{SUBNET}.1"


def _address(number: int) -> str:
    return f"{SUBNET}.{11 + number}"


def _name(number: int) -> str:
    return f"node-{number}" if number else "head-0"


def _ip(*words: str, inside: int | None = None) -> None:
    where = ["nsenter", "--target", str(inside), "--net"] if inside is not None else []
    subprocess.run([*where, "ip", *words], check=True, capture_output=True, text=True)


class Node:
    """One node, started again under the same name and address as often as it is killed.

    Attributes:
        name: Of the node.
        address: Where it is reached.
        starts: How often it was started.
    """

    def __init__(
        self, name: str, address: str, command: list[str], folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.name, self.address, self.command = name, address, command
        self.folder, self.own = folder, folder / name
        self.environment = dict(environment) | {
            NODE: name,
            "XDG_CACHE_HOME": str(self.own / "cache"),
            "LOG": str(folder / f"{name}.log"),
        }
        self.starts = 0
        self.leader: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        """Whether the process that holds the node together runs."""
        return self.leader is not None and self.leader.poll() is None

    @property
    def joined(self) -> bool:
        """Whether it says that it has joined the cluster since it was started last."""
        return self.alive and "Ray runtime started" in Path(self.environment["LOG"]).read_text(errors="replace")

    def pids(self) -> list[int]:
        """All processes of the node."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the node; it joins the cluster some seconds later."""
        raise NotImplementedError

    def link(self, *, up: bool) -> None:
        """Cut the node off from all others, or join it again."""
        raise NotImplementedError

    def running(self, *titles: str) -> list[int]:
        """Ids of the node's processes whose command line contains one of these."""
        return [pid for pid in self.pids() if any(title in command_of(pid) for title in titles)]

    def kill(self) -> int:
        """Kill everything on the node at once; returns how many processes."""
        reached = 0
        while pids := [pid for pid in self.pids() if not ended(pid)]:
            reached += kill(pids)
            psutil.wait_procs([p for pid in pids for p in _process(pid)], timeout=5)
        if self.leader is not None:
            self.leader.wait()
        return reached


def _process(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return [psutil.Process(pid)]
    return []


class IsolatedNode(Node):
    """A node in namespaces of its own."""

    inode: int | None = None

    def pids(self) -> list[int]:
        return [pid for pid in psutil.pids() if self.inode is not None and net_inode(pid) == self.inode]

    def start(self) -> None:
        private = self.own / f"ray-{self.starts}"
        private.mkdir(parents=True)
        shared = self.folder / "ray"
        setup = ["unshare", "--net", "--mount", "--uts", "bash", "-c", SETUP, "bash"]
        words = [*setup, self.name, str(private), str(shared), *self.command]
        # Its own session: a signal from the terminal is for the suite, which ends its nodes.
        self.leader = subprocess.Popen(
            words, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self.leader.stdin is not None and self.leader.stdout is not None
        if self.leader.stdout.readline() != b"ready\n":
            raise RuntimeError(f"{self.name}: no namespaces; {self.leader.wait()}")
        pid = self.leader.pid
        self.inode = net_inode(pid)
        # A new name each time: the kernel removes the old pair only when the last socket on it is closed.
        self.interface = f"rc{self.name[-1]}x{self.starts}"
        _ip("link", "add", self.interface, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
        _ip("link", "set", self.interface, "master", BRIDGE, "up")
        _ip("addr", "add", f"{self.address}/24", "dev", "eth0", inside=pid)
        for device in ("lo", "eth0"):
            _ip("link", "set", device, "up", inside=pid)
        _ip("route", "add", "default", "via", f"{SUBNET}.1", inside=pid)
        Path(self.environment["LOG"]).write_bytes(b"")
        self.leader.stdin.write(b"go\n")
        self.leader.stdin.close()
        self.leader.stdout.close()
        self.starts += 1

    def link(self, *, up: bool) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):  # a node that ended meanwhile took its interface along
            _ip("link", "set", self.interface, "up" if up else "down")


class LoopbackNode(Node):
    """A node on the loopback, beside the others."""

    def pids(self) -> list[int]:
        found = marked(self.name, NODE)
        if self.leader is not None and self.leader.poll() is None:
            found += [child.pid for p in _process(self.leader.pid) for child in [p, *p.children(recursive=True)]]
        return sorted(set(found))

    def start(self) -> None:
        self.own.mkdir(exist_ok=True)
        log = Path(self.environment["LOG"])
        log.write_bytes(b"")
        self.leader = start(self.command, self.environment, log)
        self.starts += 1

    def link(self, *, up: bool) -> None:
        raise NotImplementedError("nodes on the loopback cannot be cut off from each other")


class Cluster:
    """The nodes together.

    Attributes:
        head: Runs the cluster's state, the dashboard, and the drivers; no trials.
        workers: The further nodes, with a processor each.
        dashboard: Where jobs are submitted.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], *, namespaces: bool) -> None:
        self.namespaces = namespaces
        kind = IsolatedNode if namespaces else LoopbackNode
        addresses = [_address(number) if namespaces else "127.0.0.1" for number in range(WORKERS + 1)]
        gcs = 6379 if namespaces else free_port()
        port = 8265 if namespaces else free_port()
        (folder / "ray").mkdir()
        self.dashboard = f"http://{addresses[0]}:{port}"
        self.gcs = f"{addresses[0]}:{gcs}"
        shared = ["--block", "--object-store-memory", str(MEMORY), "--disable-usage-stats"]

        def command(number: int) -> list[str]:
            words = [RAY, "start", *shared, "--node-ip-address", addresses[number]]
            words += [] if namespaces else ["--dashboard-agent-listen-port", str(free_port())]
            # Named, so that a raylet need not wait for its agents to choose them: on a busy machine it gives up.
            for number_of_agent, agent in enumerate(("dashboard-agent-grpc-port", "runtime-env-agent-port")):
                words += [f"--{agent}", str(8777 + number_of_agent if namespaces else free_port())]
            if number:
                return [*words, "--address", self.gcs, "--num-cpus", "1"]
            head = ["--head", "--port", str(gcs), "--num-cpus", "0", "--temp-dir", str(folder / "ray")]
            return [*words, *head, "--dashboard-host", addresses[0], "--dashboard-port", str(port)]

        nodes = [
            kind(_name(number), addresses[number], command(number), folder, environment)
            for number in range(WORKERS + 1)
        ]
        self.head, self.workers = nodes[0], nodes[1:]
        self.held: set[str] = set()  # nodes that a fault keeps down
        self.told = ""  # what the cluster said last of its nodes

    @property
    def nodes(self) -> list[Node]:
        """All of them, the head first."""
        return [self.head, *self.workers]

    def start(self) -> None:
        """Start all nodes and wait until the cluster takes jobs and has its processors."""
        self.head.start()
        wait_for("the head", self._head_answers, seconds=120, every=0.5)
        for node in self.workers:
            node.start()
        self.wait()

    def mend(self) -> list[str]:
        """Start the nodes that have ended and are not to stay down; returns their names."""
        gone = [node for node in self.workers if not node.alive and node.name not in self.held]
        for node in gone:
            node.kill()  # what is left of it: its workers see a moment later that their raylet is gone
            node.start()
        return [node.name for node in gone]

    def wait(self) -> None:
        """Wait until every node has joined."""
        try:
            wait_for("the cluster", self._mended_and_whole, seconds=JOINING, every=0.5)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; its state: {self.told}") from error

    def running(self, *titles: str) -> list[int]:
        """Ids of processes on any node whose command line contains one of these."""
        return [pid for node in self.nodes for pid in node.running(*titles)]

    def close(self) -> None:
        """End all nodes."""
        for node in self.nodes:
            if node.alive and node.leader is not None:
                kill([node.leader.pid], signal.SIGTERM)
        for node in self.nodes:
            if node.leader is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    node.leader.wait(15)
            node.kill()

    def _mended_and_whole(self) -> bool:
        self.mend()
        # What is told of an address may be of the node that was killed there, until the cluster has noticed.
        return all(node.joined for node in self.nodes) and self.alive() >= {node.address for node in self.nodes}

    def alive(self) -> set[str]:
        """Addresses of the nodes that the cluster's state holds to be alive."""
        from ray.util.state import list_nodes

        try:
            found = list_nodes(address=self.dashboard, timeout=5)
        except Exception as error:  # noqa: BLE001 - a busy dashboard fails in many ways; it is asked again
            self.told = repr(error)
            return set()
        self.told = ", ".join(f"{node.node_ip} {node.state} {node.state_message or ''}" for node in found)
        return {str(node.node_ip) for node in found if node.state == "ALIVE"}

    def _head_answers(self) -> bool:
        if self.head.leader is not None and self.head.leader.poll() is not None:
            log = Path(self.head.environment["LOG"]).read_text(errors="replace")
            raise RuntimeError(f"the head ended: {log[-2000:]}")
        return bool(self.alive())
