"""What Python lacks on Windows, in the modules that ptzip uses: every name that its documentation calls available on Unix,
Linux or macOS alone, as patterns. `test_absent.py` compares them with what mypy knows of every system.
"""

import functools
from fnmatch import fnmatchcase

ABSENT = {
    "os": """
        pread preadv pwrite pwritev readv writev sendfile splice copy_file_range lockf posix_* pipe2 openpty eventfd*
        memfd_create chown fchown lchown fchmod chflags lchflags chroot fchdir fwalk statvfs fstatvfs pathconf*
        fpathconf confstr* sysconf* getxattr setxattr listxattr removexattr mkfifo mknod makedev major minor fdatasync
        sync get_blocking set_blocking fork forkpty register_at_fork spawn[lv]p spawn[lv]pe wait wait3 wait4 waitid
        waitid_result killpg nice pidfd_open get*[gu]id getgroups getgrouplist initgroups setgroups set*[gu]id getpg*
        setpg* getsid setsid getpriority setpriority getloadavg getrandom uname sched_* unshare setns timerfd_* ctermid
        ttyname tc[gs]etpgrp login_tty grantpt ptsname unlockpt environb getenvb struct_rusage O_ACCMODE O_ASYNC
        O_CLOEXEC O_DIRECT O_DIRECTORY O_DSYNC O_EVTONLY O_EXEC O_EXLOCK O_FSYNC O_LARGEFILE O_NDELAY O_NOATIME O_NOCTTY
        O_NOFOLLOW* O_NONBLOCK O_PATH O_RSYNC O_SEARCH O_SHLOCK O_SYMLINK O_SYNC O_TMPFILE SEEK_DATA SEEK_HOLE F_* P_ALL
        P_PGID P_PID P_PIDFD W[A-Z]* CLD_* CLONE_* EFD_* EX_* GRND_* MFD_* NGROUPS_MAX PIDFD_* POSIX_* PRIO_* RTLD_*
        RWF_* SCHED_* SPLICE_* STATX_* ST_* TFD_* XATTR_* AT_* NODEV statx*
    """,
    "signal": """
        SIG[!_]* SIG_BLOCK SIG_UNBLOCK SIG_SETMASK Sigmasks ITIMER_* ItimerError alarm getitimer setitimer pause
        pidfd_send_signal pthread_kill pthread_sigmask siginterrupt sigpending sigtimedwait sigwait sigwaitinfo
        struct_siginfo
    """,
    "mmap": "MADV_* MAP_* MS_* PROT_*",
    "time": "CLOCK_* clock_* pthread_getcpuclockid tzset",
    "sys": "abiflags getdlopenflags setdlopenflags",
}
"""Module -> patterns of the names that raise AttributeError; `os.get_blocking` and `set_blocking` are there from Python 3.12
on, `os.fchmod` from 3.13 on."""

PRESENT = frozenset(("EX_OK", "F_OK", "SIGABRT", "SIGBREAK", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM"))
"""What is there although a pattern has it."""

MODULES = frozenset(("curses", "fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"))
"""The modules that raise ModuleNotFoundError."""


@functools.cache
def is_absent(module: str, name: str) -> bool:
    """Whether Python has no `module.name` on Windows."""
    return name not in PRESENT and any(fnmatchcase(name, pattern) for pattern in ABSENT.get(module, "").split())
