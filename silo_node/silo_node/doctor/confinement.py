"""What keeps a process that holds records from doing harm: told from what the kernel says of it, and tried where it can be."""

from __future__ import annotations

import resource
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from silo_node.confinement import Confinement
from silo_node.training.network import Cut
from silo_node.training.probes import FILTERED, kernel_facts, native_gets_out, python_gets_out
from wardround.confinement import MEANING
from wardround.doctor.lines import Line
from wardround.supervision.ground import MIB

TRAINER = "silo_node.training.process"
SUPERVISED = "wardround.supervision.leash"


def privileges(facts: Mapping[str, str], whose: str, name: str = "privileges") -> Line:
    """Say of a process whether it may gain privileges, whether its system calls are filtered, and whether it is root's."""
    if "NoNewPrivs" not in facts:
        return Line(name=name, state="skipped", finding="this system does not say what a process may become")
    root = facts.get("Uid", "").split()[1:2] == ["0"]
    gains, filtered = facts["NoNewPrivs"] != "1", facts.get("Seccomp") == FILTERED
    told = [
        "is root's" if root else "is not root's",
        "may gain privileges" if gains else "may gain no privileges",
        "its system calls are filtered" if filtered else "its system calls are not filtered",
    ]
    finding = f"{whose} {', '.join(told)}"
    if not root and not gains and filtered:
        return Line(name=name, state="ok", finding=finding)
    next_step = "run the node as a service with a user of its own: the systemd unit in deployment/ sets all three"
    return Line(name=name, state="warn", finding=finding, next_step=next_step)


def network(cut: Cut, port: int) -> Line:
    """Try to get out of this process, whose network was just cut: by Python, and by native code to a port that listens here."""
    if python_gets_out():
        return Line(name="network cut", state="fail", finding="Python makes sockets in a trainer", code="X-BUG")
    reached = sys.platform == "linux" and native_gets_out(port)
    if cut == "kernel" and not reached:
        finding = "the kernel cuts the trainer off: tried, not even native code reaches this machine's own ports"
        return Line(name="network cut", state="ok", finding=finding)
    tried = "tried, native code reaches this machine's own ports" if reached else "native code is not stopped"
    return Line(
        name="network cut",
        state="warn",
        finding=f"Python alone cuts the trainer off, the kernel does not: {tried}",
        next_step="allow user namespaces to this user (user.max_user_namespaces, RestrictNamespaces= in the unit, AppArmor), "
        "or keep the machine off other networks by its firewall",
    )


def memory_limit(limit_bytes: int | None) -> Line:
    """Say which memory limit this process has, after it was set."""
    if limit_bytes is None:
        return Line(
            name="memory limit",
            state="warn",
            finding="the trainer has none: a study that needs too much stops other services of this machine",
            next_step="set one in site.yaml, such as resources: {memory: 6 GiB}",
        )
    held = resource.getrlimit(resource.RLIMIT_DATA)[0] == limit_bytes
    if not held:
        finding = f"{limit_bytes // MIB} MiB are set, and this system keeps nobody to it"
        return Line(name="memory limit", state="warn", finding=finding, next_step="limit the service by other means")
    return Line(name="memory limit", state="ok", finding=f"the kernel keeps the trainer to {limit_bytes // MIB} MiB")


def running_trainer(supervisor: int) -> int | None:
    """Find the trainer's process below a supervisor's; None where it is not, or nobody can tell."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if TRAINER in words and SUPERVISED not in words and supervisor in _ancestors(int(entry.name)):
            return int(entry.name)
    return None


def _ancestors(process: int) -> Iterator[int]:
    while process > 1:
        process = int(kernel_facts(process).get("PPid", "0"))
        yield process


def of_running(process: int) -> Iterator[Line]:
    """Say how the trainer that runs now is confined."""
    try:
        apart = Path(f"/proc/{process}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    except OSError:
        yield Line(name="running trainer", state="skipped", finding="only its own user, or root, sees how it is confined")
        return
    finding = "has no network but the kernel's empty one" if apart else "shares this machine's network: Python alone cuts it off"
    next_step = None if apart else "see 'network cut' below"
    yield Line(name="running trainer", state="ok" if apart else "warn", finding=f"it {finding}", next_step=next_step)
    yield privileges(kernel_facts(process), "the running trainer", "running privileges")


def proven(confinement: Confinement | None, required: Collection[str]) -> Iterator[Line]:
    """Say what the trainer that runs now found at its start, and whether it has what the hospital's policy requires."""
    if confinement is None:
        finding = "the trainer that runs did not leave what it found at its start"
        yield Line(name="confinement", state="skipped", finding=finding)
        return
    finding = f"at its start it tried, and {confinement.words()}"
    lacking = [name for name in required if name not in confinement.holds]
    if lacking:
        yield Line(
            name="confinement",
            state="fail",
            finding=f"{finding}. The policy requires {', '.join(lacking)}: no task is done",
            next_step="run the node as the service of deployment/, or change required_confinement in policy.yaml",
            code="H-CONFINEMENT",
        )
        return
    step = "; ".join(f"{name}: {MEANING[name]}" for name in confinement.fails)
    if confinement.fails:
        yield Line(name="confinement", state="warn", finding=finding, next_step=f"what would hold then: {step}")
    else:
        yield Line(name="confinement", state="ok", finding=finding)
