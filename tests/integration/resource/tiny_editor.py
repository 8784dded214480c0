"""A web server in the place of an editor, for faults that a real one cannot be made to have.

What it does is told by the variable TINY: `never` answers, `fails` before it answers, `slow`
answers after a second, `busy` uses a whole core, `stubborn` starts a child, in a session of its
own, that ignores every polite signal and whose parent is gone, `heir` leaves its listening socket
to a child. The variable CHILD is a program for a child of it.
"""

import http.server
import os
import signal
import subprocess
import sys
import threading
import time

_CHILD = (
    "import signal, time\n"
    "for one in (signal.SIGTERM, signal.SIGHUP): signal.signal(one, signal.SIG_IGN)\n"
    "print('child ready', flush=True)\n"
    "time.sleep(600)\n"
)
_MIDDLE = (
    "import subprocess, sys\n"
    f"subprocess.Popen([sys.executable, '-c', {_CHILD!r}], start_new_session=True)\n"
)


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ["INSTANCE_ID"].encode())


def _burn() -> None:
    while True:
        sum(range(100_000))


def main() -> None:
    mode = os.environ.get("TINY", "")
    port = next(int(one.partition("=")[2]) for one in sys.argv if one.startswith("--port="))
    sys.stdout.write(f"editor of {os.environ['INSTANCE_ID']} {mode}\n")
    sys.stdout.flush()
    if mode == "fails":
        sys.exit("cannot go on")
    if mode == "never":
        time.sleep(600)
    if code := os.environ.get("CHILD"):
        # As a terminal does: in a session of its own, signals as they are by default.
        subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    if mode == "busy":
        threading.Thread(target=_burn, daemon=True).start()
    if mode == "slow":
        time.sleep(1)
    if mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        # The middle process ends at once: the child is nobody's and in no group of ours.
        subprocess.run([sys.executable, "-c", _MIDDLE], check=True)
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Page)
    except OSError as error:
        sys.exit(f"listen EADDRINUSE {error}")
    if mode == "heir":
        # Like code-server's second process: it outlives the first, and holds the port.
        subprocess.Popen(["/bin/sleep", "600"], pass_fds=[server.fileno()])
    server.serve_forever()


main()
