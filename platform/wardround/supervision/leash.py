"""``python -m wardround.supervision.leash PARENT -- COMMAND...``: run a command that dies with its parent.

Linux only (prctl PR_SET_PDEATHSIG): if the supervisor is killed, the kernel kills its children too. SIGKILL, since a
process that is frozen would never hear SIGTERM, and every process of ours can be killed at any time. Elsewhere the
command simply runs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import NoReturn

PR_SET_PDEATHSIG = 1


def main() -> NoReturn:
    """Put this process on the leash and become the command."""
    parent, _, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # the parent died before the leash was on
        sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606  (no shell is what we want; the command is our own)


if __name__ == "__main__":
    main()
