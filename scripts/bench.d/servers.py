"""Programs that a measurement needs: nginx, the stand-in, Lorakeep. Each takes a free port and ends with its block."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time

API_KEY = "bench-key-of-this-run-only"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def program(command, port, log, env=None):
    """Runs a server until the block ends; the block starts when its port answers."""
    with open(log, "ab") as output:
        process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        wait_for_port(process, port, log)
        yield process
    finally:
        end(process)


def wait_for_port(process, port, log, limit=30.0):
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.002)
    with open(log, encoding="utf-8", errors="replace") as lines:
        raise RuntimeError(f"{process.args[0]} does not listen on port {port}:\n{lines.read()[-2000:]}")


def end(process):
    """Asks the process to end, by its id, and insists after ten seconds."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


NGINX = """
{user}
worker_processes 2;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    open_file_cache max=64;
    default_type application/octet-stream;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        root {root};
    }}
}}
"""


@contextlib.contextmanager
def nginx(folder, root):
    """Serves the files of `root` and yields the address."""
    port = free_port()
    config = os.path.join(folder, "nginx.conf")
    user = "user root;" if os.geteuid() == 0 else ""
    with open(config, "w", encoding="utf-8") as file:
        file.write(NGINX.format(user=user, folder=folder, root=root, port=port))
    log = os.path.join(folder, "nginx.log")
    command = ["nginx", "-e", "stderr", "-p", folder, "-c", config, "-g", "daemon off;"]
    with program(command, port, log):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def lorakeep(binary, folder, port=None, extra_env=None):
    """Serves the data folder and yields the process and its port."""
    port = port or free_port()
    command = [binary, "--data-dir", os.path.join(folder, "data"), "--listen", f"127.0.0.1:{port}", "serve"]
    with program(command, port, os.path.join(folder, "lorakeep.log"), environment(extra_env)) as process:
        yield process, port


def environment(extra=None):
    """The environment of a run: nothing of ours from outside, downloads from loopback allowed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LORAKEEP_", "HF_", "CIVITAI_"))}
    return kept | {"API_KEY": API_KEY, "LORAKEEP_ALLOW_HOSTS": "127.0.0.1"} | (extra or {})


def get(port, path, headers=None, method="GET"):
    """One request with the admin key: status, headers, body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, headers={"X-API-Key": API_KEY} | (headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()
