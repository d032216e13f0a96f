#!/usr/bin/env python3
"""figures.py BIN   the three figures of the README: size, resident memory, time to listen

Linux only, loopback only. The binary is stripped into a temporary file; the server behind it is the built-in demo
server, which is not counted. Every figure is the median of five runs.
"""
import json, os, pathlib, socket, statistics, subprocess, sys, tempfile, time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def status(pid, field):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"no {field} of process {pid}")


def children(pid):
    listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return {line.split(None, 1)[1].split()[1]: int(line.split()[0]) for line in listed.splitlines()}


def run(binary, folder):
    port = free_port()
    config = pathlib.Path(folder) / "config.json"
    config.write_text(json.dumps({
        "mcpProxy": {"addr": f"127.0.0.1:{port}", "type": "both"},
        "mcpServers": {"demo": {"command": binary, "args": ["demo-server"]}},
    }))
    began = time.perf_counter()
    proxy = subprocess.Popen([binary, "-config", str(config)], stderr=subprocess.PIPE, text=True)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                if proxy.poll() is not None or time.perf_counter() - began > 10:
                    raise SystemExit("the proxy does not listen")
        listening = (time.perf_counter() - began) * 1000
        for line in proxy.stderr:
            if "servers are ready" in line:
                break
        time.sleep(0.5)  # what happens once after the start is over
        guard = children(proxy.pid).get("guard")
        return (listening, status(proxy.pid, "VmRSS"), status(proxy.pid, "RssAnon"),
                status(guard, "VmRSS") if guard else 0.0, status(guard, "RssAnon") if guard else 0.0)
    finally:
        proxy.terminate()
        proxy.wait(timeout=20)
        proxy.stderr.close()


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        binary = os.path.join(folder, "mcp-proxy")
        subprocess.run(["strip", "-o", binary, sys.argv[1]], check=True)
        size = os.path.getsize(binary) / 1e6
        runs = [run(binary, folder) for _ in range(5)]
    listening, rss, anon, guard, guard_anon = (statistics.median(column) for column in zip(*runs))
    print(f"stripped binary            {size:.2f} MB")
    print(f"from exec to listening     {listening:.1f} ms")
    print(f"resident, idle, one child  {rss:.1f} MiB, of which anonymous {anon:.1f} MiB")
    print(f"its guard process          {guard:.1f} MiB, of which anonymous {guard_anon:.1f} MiB")


if __name__ == "__main__":
    main()
