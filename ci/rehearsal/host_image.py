"""What a rehearsal's host is made of: its Debian packages, and the few files that make it boot."""

import io
import tarfile

# What `bin/ci hosts prepare` would install is there already, so that a rehearsal needs no network
# and takes no minutes; the image is 420 MB, made once a machine in about 40 s.
PACKAGES = (
    "apt",
    "ca-certificates",
    "curl",
    "dbus",
    "docker.io",
    "haproxy",
    "iproute2",
    "iptables",
    "openssh-server",
    "openssl",
    "procps",
    "python3",
    "python3-apt",
    "systemd",
    "systemd-sysv",
)
BOOT = "/usr/local/sbin/rehearsal-boot"
# An engine hands cgroups over read-only unless the container is privileged. `bind` matters:
# a plain remount changes nothing, silently, and the inner engine then starts no container.
# The keys and the machine id of the image are everybody's; a host makes its own, once.
BOOT_SCRIPT = """\
#!/bin/sh
set -eu
for place in /sys /sys/fs/cgroup /sys/fs/cgroup/*; do
  mountpoint -q "$place" && mount -o remount,bind,rw "$place"
done
key=/etc/ssh/ssh_host_ed25519_key
if [ ! -e /etc/ssh/own ]; then
  rm -f /etc/ssh/ssh_host_*
  ssh-keygen -q -t ed25519 -N "" -C "" -f "$key"
  tr -d - < /proc/sys/kernel/random/uuid > /etc/machine-id
  touch /etc/ssh/own
fi
exec /sbin/init
"""
SSHD = """\
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 100
UseDNS no
"""
# What would act on the kernel or the consoles of the machine below.
MASKED = (
    "console-getty.service",
    "dev-hugepages.mount",
    "getty.target",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-binfmt.service",
    "systemd-modules-load.service",
    "systemd-sysctl.service",
)


def files(public_key: str) -> bytes:
    """The files to lay over the packages, as a tar.

    Args:
        public_key: Who may log in as root, in the words of `authorized_keys`.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        _add(archive, BOOT, BOOT_SCRIPT, 0o755)
        _add(archive, "/etc/ssh/sshd_config.d/rehearsal.conf", SSHD)
        folder = tarfile.TarInfo("root/.ssh")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o700
        archive.addfile(folder)
        _add(archive, "/root/.ssh/authorized_keys", public_key, 0o600)
        for unit in MASKED:
            link = tarfile.TarInfo(f"etc/systemd/system/{unit}")
            link.type, link.linkname = tarfile.SYMTYPE, "/dev/null"
            archive.addfile(link)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, place: str, text: str, mode: int = 0o644) -> None:
    member = tarfile.TarInfo(place.lstrip("/"))
    member.size, member.mode = len(text.encode()), mode
    archive.addfile(member, io.BytesIO(text.encode()))
