"""What programs may not do: no capabilities, no way to new ones, and a filter on system calls."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import signal
import struct

from .system import LIBC, BrokenError, check, prctl

__all__ = ["DENIED", "NOBODY", "drop_privileges", "filter_system_calls"]

NOBODY = 65534
_PDEATHSIG, _DUMPABLE, _SECCOMP, _CAPBSET_DROP, _NO_NEW_PRIVS = 1, 4, 22, 24, 38

DENIED = {  # name: number on x86_64 and on aarch64, -1 where it does not exist
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440), "perf_event_open": (298, 241), "bpf": (321, 280),
    "userfaultfd": (323, 282), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "unshare": (272, 97), "setns": (308, 268),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262),
    "quotactl": (179, 60), "quotactl_fd": (443, 443), "lookup_dcookie": (212, 18), "acct": (163, 89),
    "swapon": (167, 224), "swapoff": (168, 225), "reboot": (169, 142), "syslog": (103, 116),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171),
    "clock_adjtime": (305, 266), "sethostname": (170, 161), "setdomainname": (171, 162), "mknod": (133, -1),
    "mknodat": (259, 33), "personality": (135, 92), "iopl": (172, -1), "ioperm": (173, -1), "modify_ldt": (154, -1),
    "uselib": (134, -1), "ustat": (136, -1), "sysfs": (139, -1), "vhangup": (153, 58), "nfsservctl": (180, 42),
    "migrate_pages": (256, 238), "move_pages": (279, 239),
}  # fmt: skip
"""System calls that fail in the sandbox with ``EPERM``."""

_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE, _CLONE3, _SOCKET = (56, 220), (435, 435), (41, 198)
_NEW_NAMESPACES = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}
_FAMILIES = (1, 2, 10)  # sockets of UNIX, IPv4 and IPv6; a network there is none
_KILL, _ALLOW, _ERROR = 0x80000000, 0x7FFF0000, 0x00050000
_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16


def drop_privileges() -> None:
    """Become nobody, without capabilities and without a way to new ones."""
    for capability in range(64):
        prctl(_CAPBSET_DROP, capability)
    with contextlib.suppress(OSError):  # only where the outside could map nobody
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    check(LIBC.capset(header, (ctypes.c_uint32 * 6)()), "capset")
    prctl(_NO_NEW_PRIVS, 1, "no_new_privs")
    # Changing the user cleared this one; process 1 must die with the launcher, and be no one's to debug.
    prctl(_PDEATHSIG, signal.SIGKILL, "pdeathsig")
    prctl(_DUMPABLE, 0, "dumpable")


def filter_system_calls() -> None:
    """Deny system calls that no test needs and that have opened other sandboxes; for good, and for all children.

    Raises:
        BrokenError: The kernel takes no filter.
    """
    machine = platform.machine()
    if machine not in _AUDIT:
        raise BrokenError(f"no filter of system calls for processors of kind {machine}")
    column = list(_AUDIT).index(machine)
    code = _filter(_AUDIT[machine], column)
    lines = ctypes.create_string_buffer(b"".join(code), sum(map(len, code)))
    program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(lines))
    holder = ctypes.create_string_buffer(program, len(program))
    result = LIBC.prctl(_SECCOMP, ctypes.c_ulong(2), ctypes.c_void_p(ctypes.addressof(holder)))
    check(result, "seccomp filter")


def _filter(arch: int, column: int) -> list[bytes]:
    """Return the filter's instructions; jumps are forward by so many lines.

    A call through another processor's table (32 bits, x32) ends the program: its numbers mean other calls.
    """
    code = [_line(_LOAD, _ARCH), _line(_EQUAL, arch, 1, 0), _line(_RETURN, _KILL), _line(_LOAD, _NUMBER)]
    if column == 0:
        code += [_line(_AT_LEAST, 0x40000000, 0, 1), _line(_RETURN, _KILL)]
    for numbers in DENIED.values():
        if numbers[column] >= 0:
            code += [_line(_EQUAL, numbers[column], 0, 1), _line(_RETURN, _ERROR | _EPERM)]
    # clone3 hides its flags in memory; without it C libraries use clone.
    code += [_line(_EQUAL, _CLONE3[column], 0, 1), _line(_RETURN, _ERROR | _ENOSYS)]
    code += [
        _line(_EQUAL, _CLONE[column], 0, 4),
        _line(_LOAD, _FIRST_ARGUMENT),
        _line(_ANY_BIT, _NEW_NAMESPACES, 0, 1),
        _line(_RETURN, _ERROR | _EPERM),
        _line(_RETURN, _ALLOW),
    ]
    code += [_line(_EQUAL, _SOCKET[column], 0, 2 + len(_FAMILIES)), _line(_LOAD, _FIRST_ARGUMENT)]
    for place, family in enumerate(_FAMILIES):
        code.append(_line(_EQUAL, family, len(_FAMILIES) - place, 0))
    return [*code, _line(_RETURN, _ERROR | _EAFNOSUPPORT), _line(_RETURN, _ALLOW)]


def _line(operation: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", operation, if_true, if_false, value)
