"""What no container of ours is without."""

from typing import Any

SCRATCH = "/tmp"  # noqa: S108 - within the container, in memory
# Memory is said per container: a serving process needs more than a proxy.
HARDENED: dict[str, Any] = {
    "read_only": True,
    "tmpfs": {SCRATCH: "rw,nosuid,noexec,size=256m,mode=1777"},
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "nano_cpus": 1_000_000_000,
    "pids_limit": 256,
    "init": True,
    "restart_policy": {"Name": "unless-stopped"},
    "log_config": {"type": "json-file", "config": {"max-size": "10m", "max-file": "3"}},
}
