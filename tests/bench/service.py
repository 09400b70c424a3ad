"""Replicas behind a Kubernetes Service on one machine: each gateway has its own cgroup with a share of a core, and a
network namespace has the rules that kube-proxy writes in its iptables mode: one address, and each new connection goes
to a random replica. Run by tests/bench/scale inside `unshare --net`; prints one line of JSON.
"""

import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

from load import wrk
from proxies import LOAD_CPU, PROXY_CPU, Proxy, pinned
from sizing import KIB, Upstreams, path

ADDRESS = "10.96.0.1"
QUOTA_US = 1000  # the minimum that Linux accepts: with a short period, throttling shows less in the latencies
JOIN = 'echo $$ >"$0" && exec "$@"'
median = statistics.median


class Group:
    """A cgroup that may use a share of one core; version 2, or version 1 if that has the CPU controller."""

    def __init__(self, name, share):
        self.period_us = int(QUOTA_US / share)
        parent, self.version = pathlib.Path("/sys/fs/cgroup"), 2
        if not (parent / "cgroup.controllers").exists():
            parent, self.version = parent / "cpu", 1
        self.path = parent / f"sagegate-bench-{os.getpid()}-{name}"

    def __enter__(self):
        if self.version == 2:
            (self.path.parent / "cgroup.subtree_control").write_text("+cpu")
        self.path.mkdir()
        if self.version == 2:
            (self.path / "cpu.max").write_text(f"{QUOTA_US} {self.period_us}")
        else:
            (self.path / "cpu.cfs_period_us").write_text(str(self.period_us))
            (self.path / "cpu.cfs_quota_us").write_text(str(QUOTA_US))
        return self

    def __exit__(self, *_):
        self.path.rmdir()

    @property
    def before(self):
        """Command prefix that runs the command in the cgroup."""
        return ["sh", "-c", JOIN, str(self.path / "cgroup.procs")]


def balance(replicas):
    """Writes kube-proxy's rules: the first of n takes one connection in n, the next one in n - 1, and so on."""
    rules = ["*nat"]
    for number, replica in enumerate(replicas):
        left = len(replicas) - number
        chance = f"-m statistic --mode random --probability {1 / left:.9f} " if left > 1 else ""
        rules.append(f"-A OUTPUT -d {ADDRESS}/32 -p tcp --dport 80 {chance}-j DNAT --to-destination 127.0.0.1:{replica.port}")
    subprocess.run(["iptables-restore"], input="\n".join([*rules, "COMMIT", ""]), text=True, check=True)


def load(replicas, connections, seconds, **environment):
    """wrk against the Service, and the CPU seconds of each replica."""
    before = [replica.cpu_s() for replica in replicas]
    result = wrk(f"http://{ADDRESS}{path(KIB)}", connections, seconds, KIB, pinned(LOAD_CPU), **environment)
    used = [replica.cpu_s() - one for replica, one in zip(replicas, before)]
    assert result["errors"] == 0, result
    return {**result, "cpu_us": sum(used) * 1e6 / result["requests"], "used": [one / (result["us"] / 1e6) for one in used]}


def grow(replicas, options):
    """For each number of replicas: maximum throughput, then clients that pause, for about 70 % of it. Every round
    covers all numbers, and linearity is judged within the round."""
    counts = range(1, len(replicas) + 1)
    full, calm = {count: [] for count in counts}, {count: [] for count in counts}
    for _ in range(options.rounds):
        for count in counts:
            balance(replicas[:count])
            load(replicas, 16 * count, 1)
            full[count].append(load(replicas, 16 * count, options.seconds))
            pause_ms = 64 / (0.7 * full[1][0]["rps"]) * 1000
            calm[count].append(load(replicas, 64 * count, options.seconds, BENCH_PAUSE=str(pause_ms)))

    def of(runs, key):
        return median(one[key] for one in runs)

    return [{"replicas": count, "linear": median(one["rps"] / alone["rps"] / count for one, alone in zip(full[count], full[1])),
             "full": {key: of(full[count], key) for key in ("rps", "p50_us", "p99_us", "cpu_us")},
             "used": median(sum(one["used"]) / count for one in full[count]),
             "calm": {key: of(calm[count], key) for key in ("rps", "p50_us", "p99_us")}} for count in counts]


def added_while_busy(replicas, options, **environment):
    """Two replicas become four under load: each replica's share before and after, and requests per second of both."""
    half, seconds = len(replicas) // 2, 3
    balance(replicas[:half])
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        whole = pool.submit(wrk, f"http://{ADDRESS}{path(KIB)}", 64, 2 * seconds + 2, KIB, pinned(LOAD_CPU), **environment)
        time.sleep(1)
        before = watch(replicas, seconds)
        balance(replicas)
        time.sleep(0.5)
        after = watch(replicas, seconds)
        assert whole.result()["requests"]
    return {"before": before, "after": after}


def watch(replicas, seconds):
    """Returns the share of a core that each replica uses."""
    begun, used = time.monotonic(), [replica.cpu_s() for replica in replicas]
    time.sleep(seconds)
    return [(replica.cpu_s() - one) / (time.monotonic() - begun) for replica, one in zip(replicas, used)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"], check=True)
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        upstreams = stack.enter_context(Upstreams(directory))
        replicas = []
        for number in range(options.replicas):
            group = stack.enter_context(Group(number, options.share))
            replica = Proxy("sagegate", f"{directory}/{number}", upstreams.words)
            replica.start([*group.before, *pinned(PROXY_CPU)])
            stack.callback(replica.stop)
            replicas.append(replica)
        told = {"share": options.share, "cgroup": group.version, "grow": grow(replicas, options),
                "kept": added_while_busy(replicas, options),
                "closed": added_while_busy(replicas, options, BENCH_CLOSE_EVERY="100")}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
