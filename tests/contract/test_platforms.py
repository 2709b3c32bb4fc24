"""What would hold on Linux only: calls that Windows or macOS lack, and texts read as they please."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "neuroml").rglob("*.py"), *(ROOT / "datasets").rglob("*.py")])

# Modules and names that the standard library's documentation marks "Availability: Unix".
POSIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios"}
POSIX_NAMES = {
    "os": """chown chroot fchdir fchmod fchown fork forkpty getegid geteuid getgid getgroups
    getloadavg getpgid getpgrp getpriority getresuid getsid getuid killpg lchown lockf mkfifo mknod
    nice openpty pathconf pipe2 posix_fadvise posix_fallocate posix_spawn pread pwrite register_at_fork
    sched_getaffinity sched_setaffinity sched_yield sendfile setgid setpgid setpriority setsid setuid
    spawnlp statvfs sync sysconf tcgetpgrp ttyname uname wait wait3 wait4 waitid O_CLOEXEC O_DIRECTORY
    O_DSYNC O_NOFOLLOW O_NONBLOCK O_SYNC""".split(),
    "signal": """alarm pause pthread_kill pthread_sigmask setitimer siginterrupt sigpending sigwait
    SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2""".split(),
    "time": ["clock_getres", "clock_gettime", "pthread_getcpuclockid", "tzset"],
    "socket": ["AF_UNIX", "socketpair"],
}
TEXT_CALLS = {"read_text": 0, "write_text": 1, "open": None}


def calls_for_one_system(code):
    """(line, what) of everything that assumes POSIX, fork, or the encoding of a locale."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found = {alias.name.split(".")[0] for alias in node.names} & POSIX_MODULES
            yield from ((node.lineno, f"import {name}") for name in found)
        elif isinstance(node, ast.ImportFrom) and node.module in POSIX_MODULES:
            yield node.lineno, f"from {node.module}"
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in POSIX_NAMES.get(node.value.id, ()):
                yield node.lineno, f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value in ("fork", "forkserver"):
                yield node.lineno, f"a start method {node.value!r}"
            elif node.value.startswith(("/tmp", "/dev/", "/proc/", "/etc/")):
                yield node.lineno, f"the path {node.value!r}"
        elif isinstance(node, ast.Call) and _reads_text_as_it_pleases(node):
            yield node.lineno, "text without encoding="


def _reads_text_as_it_pleases(call):
    """Whether a call opens a text file in the locale's encoding, which on Windows is not UTF-8."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name not in TEXT_CALLS or any(k.arg in ("encoding", None) for k in call.keywords):
        return False
    if name != "open":
        return len(call.args) <= TEXT_CALLS[name]  # a further argument is the encoding
    is_path = isinstance(call.func, ast.Name) or len(call.args) == 0
    modes = [a for a in (*call.args, *(k.value for k in call.keywords)) if _is_mode(a)]
    if not modes:
        return is_path
    return "b" not in modes[0].value and len(call.args) < 3


def _is_mode(node):
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and 0 < len(node.value) <= 3
        and set(node.value) <= set("rwaxbt+")
    )


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_assumes_one_operating_system(path):
    found = list(calls_for_one_system(path.read_text(encoding="utf-8")))
    assert not found, found


@pytest.mark.parametrize(
    "code",
    [
        "import fcntl",
        "from fcntl import flock",
        "import os\nos.fork()",
        "import signal\nsignal.SIGKILL",
        "get_context('fork')",
        "Path('/tmp/x')",
        "path.read_text()",
        "path.write_text('ü')",
        "open(path)",
        "open(path, 'w')",
        "path.open()",
        "path.open('a')",
        "path.open(mode='w')",
    ],
)
def test_the_search_finds(code):
    assert list(calls_for_one_system(code))


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos.replace(a, b)",
        "path.read_text(encoding='utf-8')",
        "path.read_text('utf-8')",
        "path.write_text('ü', 'utf-8')",
        "open(path, 'rb')",
        "path.open('r+b')",
        "path.open('w', encoding='utf-8')",
        "archive.open(member)",
    ],
)
def test_the_search_passes_over(code):
    assert not list(calls_for_one_system(code))
