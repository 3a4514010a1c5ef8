"""Runs a command until standard input ends, then kills it and all it has started.

Whoever holds the other end of standard input may die in any way: the command never outlives it.
"""

import os
import signal
import subprocess
import sys
import threading


def main():
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(1))
    # A session of its own, so that it and its children are one process group.
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        threading.Thread(target=lambda: os._exit(abs(child.wait())), daemon=True).start()
        sys.stdin.buffer.read()
    finally:
        os.killpg(child.pid, signal.SIGKILL)


main()
