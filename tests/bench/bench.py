#!/usr/bin/env python3
"""Measures mcp-proxy against no proxy and against nginx, all in front of the same stub server.

One run starts every target in turn, several rounds over (in reverse order in every other round), and measures for
each: time to the first good tools/list, memory, throughput, latency and CPU time per call. Started by bench.sh.
Python standard library only, Linux only, loopback only.

| figure | how |
|---|---|
| start ms | from `fork` to the first tools/list with the full number of tools; loadgen tries again every 2 ms |
| RSS idle / load / peak | VmRSS (VmHWM) of the target's process tree without the stub |
| rps, p50, p99 | closed loop, N clients with one keep-alive connection and one session each; every answer is parsed, its id and payload compared |
| CPU s per 10k calls | per-process CPU clocks of the target's tree without the stub, read at two gates around the load: the least noisy figure |
| 100 KB / 1 MB | 4 clients; `blob` (small request, large answer) and `echo` (both large) |
| tools/list | stub with 1,000 dummy tools (+3), 4 clients, answer about 470 KB |
| idle sessions | after a short load, N sessions with an open event stream each; growth of RSS / N |

The target is pinned to CPU 0, loadgen and stub to CPU 1: without that the scheduler moves all three about and figures
vary by 30 % and more. So rps means "per core", and the direct figures are the limit of this harness. `--no-pin` leaves
it to the kernel. Points during which other programs used the machine are repeated once. The tables give median
(min-max) over the rounds.
"""
import argparse
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TICK = os.sysconf("SC_CLK_TCK")
PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


# ------------------------------------------------------------------ processes

def read(path):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return None


def proc_stat(pid):
    """(ppid, session, reaped children's CPU seconds) of a process, or None."""
    text = read(f"/proc/{pid}/stat")
    if not text:
        return None
    f = text[text.rindex(")") + 2:].split()
    return int(f[1]), int(f[3]), (int(f[13]) + int(f[14])) / TICK


def cpu_seconds(pid):
    """CPU time of a whole process (all threads, dead ones too) to the nanosecond."""
    try:
        return time.clock_gettime(((~pid) << 3) | 2)  # the kernel's per-process CPU clock
    except OSError:
        return 0.0


class Tree:
    """The processes of one started command, split in proxy and stub upstream."""

    def __init__(self, root, stub_path):
        self.root = root
        self.stub = os.path.realpath(stub_path)
        self.proxy, self.stubs = [], []
        stats = {}
        for name in os.listdir("/proc"):
            if name.isdigit():
                s = proc_stat(int(name))
                if s:
                    stats[int(name)] = s
        members, grew = {root}, True
        while grew:
            grew = False
            for pid, (ppid, session, _) in stats.items():
                if pid not in members and (ppid in members or session == root):
                    members.add(pid)
                    grew = True
        self.reaped = 0.0
        for pid in members:
            if pid not in stats:
                continue
            try:
                exe = os.path.realpath(os.readlink(f"/proc/{pid}/exe"))
            except OSError:
                continue
            if exe == self.stub:
                self.stubs.append(pid)
            else:
                self.proxy.append(pid)
                self.reaped += stats[pid][2]

    def cpu(self):
        return {"proxy": sum(map(cpu_seconds, self.proxy)), "stub": sum(map(cpu_seconds, self.stubs)),
                "reaped": self.reaped}

    def rss_kb(self, field="VmRSS", stubs=False):
        total = 0
        for pid in (self.stubs if stubs else self.proxy):
            m = re.search(field + r":\s+(\d+) kB", read(f"/proc/{pid}/status") or "")
            total += int(m.group(1)) if m else 0
        return total

    def threads(self):
        total = 0
        for pid in self.proxy:
            m = re.search(r"Threads:\s+(\d+)", read(f"/proc/{pid}/status") or "")
            total += int(m.group(1)) if m else 0
        return total


def system_busy():
    """(busy, stolen) CPU seconds of the whole machine so far."""
    f = [int(x) for x in read("/proc/stat").split("\n")[0].split()[1:]]
    return (f[0] + f[1] + f[2] + f[5] + f[6] + f[7]) / TICK, f[7] / TICK


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_quiet(limit_s, share=0.15):
    """Waits (at most limit_s) until nothing else uses the machine; returns the
    share of one core that was in use in the last half second."""
    end, used = time.monotonic() + limit_s, 1.0
    while True:
        b0, t0 = system_busy()[0], time.monotonic()
        time.sleep(0.5)
        used = (system_busy()[0] - b0) / (time.monotonic() - t0)
        if used < share or time.monotonic() > end:
            return used


def on_cpu(cpu):
    """preexec function that pins a process about to start."""
    return (lambda: os.sched_setaffinity(0, {cpu})) if cpu is not None else None


class Running:
    """A started command in a session of its own, ended by its process ids."""

    def __init__(self, cmd, log, cpu=None, cwd=None):
        self.log = open(log, "ab")
        self.t0 = time.monotonic_ns()
        self.p = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                  start_new_session=True, preexec_fn=on_cpu(cpu), cwd=cwd)

    def stop(self, stub):
        tree = Tree(self.p.pid, stub)
        pids = tree.proxy + tree.stubs
        for sig, wait in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 2.0)):
            if self.p.poll() is None:
                self.p.send_signal(sig)
            end = time.monotonic() + wait
            while self.p.poll() is None and time.monotonic() < end:
                time.sleep(0.01)
            if self.p.poll() is not None:
                break
        for pid in pids:  # children that outlived their parent
            if pid != self.p.pid and proc_stat(pid) and proc_stat(pid)[1] == self.p.pid:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
        self.log.close()


# ------------------------------------------------------------------ templates

def expand(value, ctx):
    """Fills {name} from ctx, in nested data. A list item that is exactly "{name...}" is replaced by the items of a list."""
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda m: str(ctx[m.group(1)]) if m.group(1) in ctx else m.group(0), value)
    if isinstance(value, list):
        out = []
        for item in value:
            m = re.fullmatch(r"\{(\w+)\.\.\.\}", item) if isinstance(item, str) else None
            out.extend(ctx[m.group(1)] if m else [expand(item, ctx)])
        return out
    if isinstance(value, dict):
        return {k: expand(v, ctx) for k, v in value.items()}
    return value


NGINX_CONF = """daemon off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/error.log warn;
worker_rlimit_nofile 16384;
events { worker_connections 8192; }
http {
 access_log off;
 client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
 fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
 client_max_body_size 64m; client_body_buffer_size 2m; keepalive_requests 100000000;
 upstream stub { server 127.0.0.1:{upstream_port}; keepalive 512; keepalive_requests 100000000; }
 server {
  listen 127.0.0.1:{port} backlog=1024;
  location / {
   proxy_pass http://stub; proxy_http_version 1.1; proxy_set_header Connection "";
   proxy_buffering off; proxy_read_timeout 3600s;
  }
 }
}
"""


def ours(proxy, upstream, kind):
    """mcp-proxy with one upstream; `kind` is what it speaks to the client."""
    server = {"stdio": {"command": "{stub}", "args": ["{stub_args...}"]},
              "http": {"url": "{upstream_url}", "transportType": "streamable-http"},
              "sse": {"url": "{upstream_url}"}}[upstream]
    config = {"mcpProxy": {"baseURL": "http://127.0.0.1:{port}", "addr": "127.0.0.1:{port}", "name": "bench", "version": "1",
                           "type": "streamable-http" if kind == "http" else "sse"},
              "mcpServers": {"stub": server}}
    return {"name": "ours", "upstream": upstream, "kind": kind,
            "url": "http://127.0.0.1:{port}/stub/" + ("mcp" if kind == "http" else "sse"),
            "cmd": [proxy, "--config", "{dir}/config.json", "--expand-env=false"], "files": {"config.json": config}}


def targets(a):
    """Everything that can be measured here, by id; `upstream>kind` names the path."""
    direct = {"name": "direct", "direct": True}
    found = [{**direct, "upstream": "http", "kind": "http", "url": "http://127.0.0.1:{port}/mcp"},
             {**direct, "upstream": "sse", "kind": "sse", "url": "http://127.0.0.1:{port}/sse"}]
    nginx = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if nginx:
        found.append({"name": "nginx", "upstream": "http", "kind": "http", "url": "http://127.0.0.1:{port}/mcp",
                      "cmd": [nginx, "-p", "{dir}", "-c", "{dir}/nginx.conf", "-e", "{dir}/error.log"],
                      "files": {"nginx.conf": NGINX_CONF}})
    else:
        print("nginx is not installed: measured without it", file=sys.stderr)
    found += [ours(a.proxy, *path) for path in (("stdio", "http"), ("http", "http"), ("stdio", "sse"), ("sse", "sse"))]
    out = {}
    for t in found:
        t["id"] = t["label"] = f"{t['name']} {t['upstream']}>{t['kind']}"
        if not a.only or any(word in t["id"] for word in a.only.split(",")):
            out[t["id"]] = t
    return out


class Bench:
    def __init__(self, a):
        self.a = a
        self.stub = os.path.join(a.bin_dir, "stub-upstream")
        self.loadgen = os.path.join(a.bin_dir, "loadgen")
        self.work = a.work or tempfile.mkdtemp(prefix="mcp-bench-")
        os.makedirs(self.work, exist_ok=True)
        self.proxy_cpu = a.proxy_cpu if a.pin else None
        self.load_cpu = a.load_cpu if a.pin else None

    # -------------------------------------------------------------- start/stop

    def start(self, t, tools):
        """Starts target t (and its upstream); waits for the first good tools/list."""
        port, up_port = free_port(), free_port()
        d = tempfile.mkdtemp(prefix=re.sub(r"\W+", "-", t["id"]) + "-", dir=self.work)
        stub_args = ["--mode", "stdio", "--tools", str(tools)]
        if self.load_cpu is not None:
            stub_args += ["--cpu", str(self.load_cpu)]
        ctx = {"port": port, "upstream_port": up_port, "dir": d, "stub": self.stub, "stub_args": stub_args,
               "upstream_url": f"http://127.0.0.1:{up_port}/" + ("sse" if t["upstream"] == "sse" else "mcp")}
        run = {"dir": d, "upstream": None, "proxy": None, "target": t, "tools": tools + 3}
        if t["upstream"] in ("http", "sse"):
            if t.get("direct"):
                ctx["upstream_port"] = up_port = port
            cmd = [self.stub, "--mode", t["upstream"], "--port", str(up_port), "--tools", str(tools)]
            if self.load_cpu is not None:
                cmd += ["--cpu", str(self.load_cpu)]
            run["upstream"] = Running(cmd, os.path.join(d, "upstream.log"))
            self.wait_port(up_port)
        for name, content in t.get("files", {}).items():
            content = expand(content, ctx)
            with open(os.path.join(d, name), "w") as f:
                f.write(content if isinstance(content, str) else json.dumps(content, indent=1))
        run["url"] = expand(t["url"], ctx)
        if not t.get("direct"):
            run["proxy"] = Running(expand(t["cmd"], ctx), os.path.join(d, "proxy.log"), self.proxy_cpu, d)
        try:
            up = self.load(run, "--wait-ready", "--expect-tools", tools + 3, "--deadline", 20)
            started = (run["proxy"] or run["upstream"]).t0
            run["startup_ms"] = (up["monotonic_ns"] - started) / 1e6
        except Exception:
            self.stop(run)
            raise
        return run

    def wait_port(self, port):
        end = time.monotonic() + 5
        while time.monotonic() < end:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.005)
        raise RuntimeError(f"nothing listens on port {port}")

    def stop(self, run):
        for r in (run["proxy"], run["upstream"]):
            if r:
                r.stop(self.stub)
        if not self.a.keep:
            shutil.rmtree(run["dir"], ignore_errors=True)

    # -------------------------------------------------------------- load

    def load_cmd(self, run, *args):
        t = run["target"]
        cmd = [self.loadgen, "--url", run["url"], "--kind", t["kind"]]
        if self.load_cpu is not None:
            cmd += ["--cpu", str(self.load_cpu)]
        return cmd + [str(a) for a in args]

    def load(self, run, *args):
        p = subprocess.run(self.load_cmd(run, *args), stdout=subprocess.PIPE, timeout=200, text=True, start_new_session=True)
        last = json.loads(p.stdout.strip().split("\n")[-1])
        if last.get("event") == "fatal":
            raise RuntimeError(last["error"])
        return last

    def tree(self, run):
        return Tree((run["proxy"] or run["upstream"]).p.pid, self.stub)

    def gated(self, run, *args):
        """One load with CPU and memory of the proxy read exactly around it."""
        p = subprocess.Popen(self.load_cmd(run, *args, "--gate"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                             start_new_session=True)
        try:
            first = json.loads(p.stdout.readline() or '{"event":"fatal","error":"loadgen died"}')
            if first["event"] != "ready":
                raise RuntimeError(first.get("error", "no ready"))
            before, (busy0, stolen0) = self.tree(run).cpu(), system_busy()
            p.stdin.write("go\n")
            p.stdin.flush()
            r = json.loads(p.stdout.readline())
            busy1, stolen1 = system_busy()
            tree = self.tree(run)
            after = tree.cpu()
            r["rss_kb"] = tree.rss_kb()
            r["stub_procs"] = len(tree.stubs)
            p.stdout.readline()  # the second gate
        finally:
            try:
                p.stdin.close()
            except OSError:
                pass
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        calls = max(r["calls"], 1)
        for k in before:
            r[f"cpu_{k}_s"] = after[k] - before[k]
        r["cpu_10k_s"] = r["cpu_proxy_s"] / calls * 1e4
        up = run["upstream"]
        # CPU spent by nobody of ours, as a share of one core: the noise figure.
        known = r["cpu_proxy_s"] + r["cpu_stub_s"] + r["cpu_reaped_s"] + r["loadgen_cpu_s"]
        if up and run["proxy"]:
            r["cpu_upstream_s"] = cpu_seconds(up.p.pid) - run.get("up_cpu", 0.0)
            run["up_cpu"] = cpu_seconds(up.p.pid)
        r["other_cpu"] = max(0.0, (busy1 - busy0 - known - r.get("cpu_upstream_s", 0.0)) / r["wall_s"])
        r["stolen"] = (stolen1 - stolen0) / r["wall_s"]
        return r

    def point(self, run, *args):
        """One load point; done again (and the quietest kept) if others used the CPUs."""
        up, best = run["upstream"], None
        for attempt in range(1 + self.a.retries):
            if attempt:
                wait_quiet(self.a.quiet_wait)
            if up and run["proxy"]:
                run["up_cpu"] = cpu_seconds(up.p.pid)
            try:
                r = self.gated(run, *args)
            except Exception as e:  # a target that fails one point goes on with the next
                return best or {"failed": str(e)[:300]}
            if best is None or (r["calls"] and r["other_cpu"] < best["other_cpu"]):
                best = r
            if best["other_cpu"] < self.a.noise or best["errors"]:
                break
        best["attempts"] = attempt + 1
        return best

    # -------------------------------------------------------------- one target

    def measure(self, t):
        a, out = self.a, {"points": {}}
        out["busy_before"] = wait_quiet(a.quiet_wait)
        out["loadavg"] = read("/proc/loadavg").split()[0]
        run = self.start(t, 0)
        try:
            out["startup_ms"] = run["startup_ms"]
            time.sleep(0.5)
            tree = self.tree(run)
            out["rss_idle_kb"] = tree.rss_kb() or (tree.rss_kb(stubs=True) if t.get("direct") else 0)
            out["threads"] = tree.threads()
            pts = out["points"]
            for c in a.concurrency:
                pts[f"c{c}"] = self.point(run, "--concurrency", c, "--payload", 100, "--duration", a.duration,
                                          "--warmup", a.warmup)
            out["rss_load_kb"] = max([p.get("rss_kb", 0) for p in pts.values()] or [0])
            for name, size in (("100k", 100_000), ("1m", 1_000_000)):
                if not a.small_only:
                    pts["blob" + name] = self.point(run, "--concurrency", 4, "--tool", "blob", "--payload", size,
                                                    "--duration", a.duration, "--warmup", 8)
            if not a.small_only:
                pts["echo100k"] = self.point(run, "--concurrency", 4, "--payload", 100_000, "--duration", a.duration,
                                             "--warmup", 8)
            out["rss_peak_kb"] = self.tree(run).rss_kb("VmHWM")
        finally:
            self.stop(run)
        if not a.small_only:
            self.measure_tools(t, out)
            self.measure_idle(t, out)
        return out

    def measure_tools(self, t, out):
        try:
            run = self.start(t, 1000)
        except Exception as e:
            out["points"]["tools1000"] = {"failed": str(e)[:300]}
            return
        try:
            out["startup_1000_tools_ms"] = run["startup_ms"]
            out["points"]["tools1000"] = self.point(run, "--method", "tools/list", "--expect-tools", 1003, "--concurrency", 4,
                                                    "--duration", self.a.duration, "--warmup", 8)
        finally:
            self.stop(run)

    def measure_idle(self, t, out):
        n = self.a.idle
        if not n:
            return
        try:
            run = self.start(t, 0)
        except Exception as e:
            out["idle"] = {"failed": str(e)[:300]}
            return
        p = None
        try:
            # A short load first, so that one-time growth isn't charged to the sessions.
            self.point(run, "--concurrency", 8, "--requests", 400)
            time.sleep(0.3)
            before = self.tree(run).rss_kb()
            p = subprocess.Popen(self.load_cmd(run, "--idle", n, "--deadline", 60, "--timeout-ms", 30000), stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True, start_new_session=True)
            r = json.loads(p.stdout.readline() or '{"failed":"loadgen died"}')
            tree = self.tree(run)
            after = tree.rss_kb()
            r.update(rss_before_kb=before, rss_after_kb=after, kb_per_session=(after - before) / max(n, 1),
                     stub_procs=len(tree.stubs))
            out["idle"] = r
        except Exception as e:
            out["idle"] = {"failed": str(e)[:300]}
        finally:
            if p:
                try:
                    p.stdin.close()
                    p.wait(10)
                except (OSError, subprocess.TimeoutExpired):
                    p.kill()
                    p.wait()
            self.stop(run)

    def check(self, t):
        run = self.start(t, 2)
        try:
            r = {"startup_ms": round(run["startup_ms"])}
            for name, args in (("echo", ["--requests", 50, "--concurrency", 4]),
                               ("blob1m", ["--requests", 4, "--tool", "blob", "--payload", 1_000_000]),
                               ("sleep", ["--requests", 32, "--concurrency", 16, "--tool", "sleep", "--payload", 50])):
                p = self.point(run, *args)
                r[name] = p.get("failed") or f"{p['calls']} ok, {p['errors']} bad, p50 {p['p50_us']:.0f} us" + (
                    f" ({p['first_error'][:160]})" if p["first_error"] else "")
            return r
        finally:
            self.stop(run)


# ------------------------------------------------------------------ report

def med(values, fmt="{:.0f}"):
    v = [x for x in values if x is not None]
    if not v:
        return "-"
    m = fmt.format(statistics.median(v))
    lo, hi = fmt.format(min(v)), fmt.format(max(v))
    return m if lo == hi else f"{m} ({lo}–{hi})"


def table(head, rows):
    out = ["| " + " | ".join(head) + " |", "|" + "|".join(["---"] + ["---:"] * (len(head) - 1)) + "|"]
    return "\n".join(out + ["| " + " | ".join(map(str, r)) + " |" for r in rows])


def get(rounds, *path):
    out = []
    for r in rounds:
        for key in path:
            r = r.get(key) if isinstance(r, dict) else None
        out.append(r)
    return out


def scaled(values, k):
    return [None if v is None else v * k for v in values]


def nonzero(values):
    return [v or None for v in values]


def report(res):
    ids = [i for i in res["targets"] if res["rounds"].get(i)]
    T, R = res["targets"], res["rounds"]
    conc = [f"c{c}" for c in res["settings"]["concurrency"]]
    md = [f"Run of {res['date']}; {res['settings']['rounds']} rounds; figures are medians (min–max) over the rounds.",
          f"Machine: {res['machine']}. {res['pinning']}", ""]

    def cell(i, p, key, k=1, fmt="{:.0f}"):
        if T[i].get("direct") and key == "cpu_10k_s":
            return "-"
        pts = [r["points"].get(p, {}) for r in R[i]]
        good = [x for x in pts if x.get("calls")]
        if not good:
            return "failed" if any(pts) else "-"
        bad = sum(x["errors"] + x["setup_errors"] for x in good) + sum(1 for x in pts if "failed" in x)
        return med([x[key] * k for x in good if x.get(key) is not None], fmt) + (f" **{bad} err**" if bad and key == "rps" else "")

    md += ["### Start, memory, throughput (100-byte echo)", "",
           table(["target", "start ms", "RSS idle MB", "RSS load MB", "RSS peak MB"] + [f"rps {c}" for c in conc],
                 [[T[i]["label"], med(get(R[i], "startup_ms")), med(scaled(get(R[i], "rss_idle_kb"), 1 / 1024), "{:.1f}"),
                   med(nonzero(scaled(get(R[i], "rss_load_kb"), 1 / 1024)), "{:.1f}"),
                   med(nonzero(scaled(get(R[i], "rss_peak_kb"), 1 / 1024)), "{:.1f}")] + [cell(i, c, "rps") for c in conc] for i in ids]), ""]
    md += ["### CPU seconds of the proxy per 10,000 calls (100-byte echo; the least noisy figure)", "",
           table(["target"] + conc, [[T[i]["label"]] + [cell(i, c, "cpu_10k_s", 1, "{:.2f}") for c in conc] for i in ids]), ""]
    md += ["### Latency, µs (100-byte echo)", "",
           table(["target"] + [f"{c} {q}" for c in conc for q in ("p50", "p99")],
                 [[T[i]["label"]] + [cell(i, c, f"{q}_us") for c in conc for q in ("p50", "p99")] for i in ids]), ""]
    if not res["settings"]["small_only"]:
        md += ["### Large payloads (4 clients; `blob` = large answer, `echo` = large request and answer)", "",
               table(["target", "100 KB blob rps", "CPU s/10k", "1 MB blob rps", "CPU s/10k", "100 KB echo rps", "CPU s/10k"],
                     [[T[i]["label"]] + [x for p in ("blob100k", "blob1m", "echo100k")
                                         for x in (cell(i, p, "rps"), cell(i, p, "cpu_10k_s", 1, "{:.1f}"))] for i in ids]), ""]
        def idle_cell(i, f, fmt="{:.1f}"):
            good = [r["idle"] for r in R[i] if r.get("idle", {}).get("rss_after_kb")]
            if T[i].get("direct"):
                return "-"
            return med([f(x) for x in good], fmt) if good else ("failed" if any("idle" in r for r in R[i]) else "-")
        md += ["### tools/list with 1,003 tools (4 clients), and idle sessions (each one open event stream)", "",
               table(["target", "start ms", "list rps", "list p50 µs", "CPU s/10k lists", "idle sessions held", "streams open",
                      "KB per session", "RSS MB with them"],
                     [[T[i]["label"], med(get(R[i], "startup_1000_tools_ms")), cell(i, "tools1000", "rps"),
                       cell(i, "tools1000", "p50_us"), cell(i, "tools1000", "cpu_10k_s", 1, "{:.1f}"),
                       idle_cell(i, lambda x: x["held"], "{:.0f}"), idle_cell(i, lambda x: x["streams_open"], "{:.0f}"),
                       idle_cell(i, lambda x: x["kb_per_session"]), idle_cell(i, lambda x: x["rss_after_kb"] / 1024)]
                      for i in ids]), ""]
    noise, sat = [], []
    for i in ids:
        for r in R[i]:
            for n, p in r["points"].items():
                if p.get("calls"):
                    if p["other_cpu"] > 0.20:
                        noise.append(f"{i}/{n} {p['other_cpu']:.2f}")
                    # How busy the load side's core was: then the proxy is not the limit.
                    side = (p["loadgen_cpu_s"] + p["cpu_stub_s"] + p.get("cpu_upstream_s", 0)) / p["wall_s"]
                    if side > 0.9 and not T[i].get("direct"):
                        sat.append(f"{i}/{n}")
    total = sum(1 for i in ids for r in R[i] for p in r["points"].values() if p.get("calls"))
    md += [f"Noise: in {len(noise)} of {total} points other programs used more than 20 % of a core"
           + (" (" + ", ".join(noise[:12]) + (" …" if len(noise) > 12 else "") + ")" if noise else "") + ".",
           "Points at which the load side's core (loadgen and stub) was over 90 % busy, so that the proxy was not the limit: "
           + (", ".join(sorted(set(sat))) or "none") + ".", ""]
    fails = [f"- {i}: {e}" for i, es in res["failures"].items() for e in sorted(set(es))]
    for i in ids:
        for r in R[i]:
            for n, p in r["points"].items():
                if "failed" in p:
                    fails.append(f"- {i} at {n}: {p['failed']}")
                elif p.get("errors") or p.get("setup_errors"):
                    fails.append(f"- {i} at {n}: {p['errors']} bad answers and {p['setup_errors']} failures to set up a client "
                                 f"(after 6 a client stays out), the first: {(p['first_error'] or '')[:120]}")
            if r.get("idle", {}).get("errors") or "failed" in r.get("idle", {}):
                fails.append(f"- {i} at idle: {r['idle'].get('failed') or r['idle']['first_error']}"[:260])
    if fails:
        md += ["Failures and bad answers:", ""] + list(dict.fromkeys(fails)) + [""]
    return "\n".join(md)


# ------------------------------------------------------------------ main

def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--proxy", required=True, help="the mcp-proxy binary")
    ap.add_argument("--bin-dir", required=True, help="where loadgen and stub-upstream are")
    ap.add_argument("--only", default="", help="comma list of words; a target is measured when its name (`ours stdio>http`) has one")
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--duration", type=float, default=2.0, help="seconds per load point")
    ap.add_argument("--warmup", type=int, default=300, help="calls before each point")
    ap.add_argument("--concurrency", default="1,16,64,256")
    ap.add_argument("--idle", type=int, default=1000, help="idle sessions (0: skip)")
    ap.add_argument("--retries", type=int, default=1, help="repeats of a noisy point")
    ap.add_argument("--noise", type=float, default=0.2, help="other programs' CPU (share of a core) that makes a point noisy")
    ap.add_argument("--quiet-wait", type=float, default=10, help="longest wait for a quiet machine, seconds")
    ap.add_argument("--small-only", action="store_true", help="only the 100-byte points")
    ap.add_argument("--no-pin", dest="pin", action="store_false")
    ap.add_argument("--proxy-cpu", type=int, default=0)
    ap.add_argument("--load-cpu", type=int, default=1)
    ap.add_argument("--check", action="store_true", help="only try each target: start, echo, 1 MB blob, sleep")
    ap.add_argument("--out", help="results file (JSON)")
    ap.add_argument("--md", help="write the tables here too")
    ap.add_argument("--work", help="working directory (default: a temporary one)")
    ap.add_argument("--keep", action="store_true", help="keep configs and logs in the working directory")
    a = ap.parse_args()
    a.concurrency = [int(c) for c in a.concurrency.split(",")]
    todo = targets(a)
    b = Bench(a)
    if a.check:
        for i, t in todo.items():
            try:
                print(i, json.dumps(b.check(t), ensure_ascii=False), flush=True)
            except Exception as e:
                print(i, "FAILED:", str(e)[:400], flush=True)
        return
    model = re.search(r"model name\s*: (.*)", read("/proc/cpuinfo") or "")
    res = {"date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
           "machine": f"{os.cpu_count()} cores {model.group(1) if model else '?'}, {platform.release()}",
           "pinning": (f"Proxy pinned to CPU {a.proxy_cpu}; loadgen and stub upstream to CPU {a.load_cpu}." if a.pin else "No pinning."),
           "settings": {k: getattr(a, k) for k in ("rounds", "duration", "concurrency", "idle", "small_only", "pin", "warmup", "retries", "noise")},
           "targets": todo, "rounds": {i: [] for i in todo}, "failures": {}}
    for n in range(a.rounds):
        for i, t in (list(todo.items()) if n % 2 == 0 else list(todo.items())[::-1]):
            if len(res["failures"].get(i, [])) > 1:
                continue
            t1 = time.time()
            try:
                r = b.measure(t)
                r["round"] = n
                res["rounds"][i].append(r)
                c = r["points"].get("c16", {})
                print(f"round {n + 1} {i}: {c.get('rps', 0):.0f} rps, {c.get('cpu_10k_s', 0):.2f} CPU-s/10k at c16, "
                      f"{time.time() - t1:.0f} s, load {r['loadavg']}", file=sys.stderr, flush=True)
            except Exception as e:
                res["failures"].setdefault(i, []).append(str(e)[:400])
                print(f"round {n + 1} {i}: FAILED {e}", file=sys.stderr, flush=True)
            if a.out:
                with open(a.out, "w") as f:
                    json.dump(res, f, indent=1)
    md = report(res)
    print(md)
    if a.md:
        with open(a.md, "w") as f:
            f.write(md)
    if not a.keep and not a.work:
        shutil.rmtree(b.work, ignore_errors=True)


if __name__ == "__main__":
    main()
