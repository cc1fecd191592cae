# Makes the disk of the real guest: sh -c THIS sh IMAGE SUITE PACKAGES SOURCES…, as root.
set -eu

image=$1 suite=$2 packages=$3
shift 3
root=$image.root
trap 'rm -rf "$root"' EXIT
trap 'exit 130' INT TERM

mmdebstrap --quiet --variant=minbase --mode=root --include="$packages" \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    "$suite" "$root" "$@" >&2

cd "$root"
rm -rf boot/* var/cache/apt/* var/lib/apt/lists/* var/log/*.log
echo guest >etc/hostname
printf '127.0.0.1 localhost guest\n::1 localhost\n' >etc/hosts
: >etc/resolv.conf
: >etc/fstab
# A machine that has been started before: systemd enables nothing by itself.
echo 00000000000000000000000000000001 >etc/machine-id
mkdir -p usr/lib/modules

# As in the small guest: loading a driver makes no device that nobody asked for.
printf 'options %s\n' 'dummy numdummies=0' 'bonding max_bonds=0' 'ifb numifbs=0' >etc/modprobe.d/none.conf

# All of busybox's applets, behind the programs that Debian has of the same name.
for applet in $(chroot . busybox --list); do
    [ -n "$(find usr/bin usr/sbin -maxdepth 1 -name "$applet")" ] || ln -s busybox "usr/bin/$applet"
done

# What tests are about is started by the test that needs it; what they are not about is not started at all.
find etc/systemd/system -type l -delete
for unit in getty.target systemd-journal-flush.service systemd-timesyncd.service systemd-pstore.service \
    systemd-network-generator.service apparmor.service dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount; do
    ln -s /dev/null "etc/systemd/system/$unit"
done
ln -s /lib/systemd/system/multi-user.target etc/systemd/system/default.target
mkdir -p etc/systemd/system/multi-user.target.wants
cat >etc/systemd/system/guest.service <<'END'
[Unit]
Description=The command that this guest was started for
After=basic.target dbus.socket systemd-udev-settle.service

[Service]
ExecStart=/init
StandardOutput=tty
TTYPath=/dev/console
END
ln -s ../guest.service etc/systemd/system/multi-user.target.wants/guest.service

# Copies programs into a root of their own, with their libraries.
copy_programs() {
    into=$1
    shift
    for file in "$@" $(chroot . ldd "$@" | sed -n 's/^[^/]*\(\/[^ ]*\) (0x.*/\1/p' | sort -u); do
        mkdir -p "$into${file%/*}"
        cp -L ".$file" "$into$file"
    done
}

# A container image, since none can be pulled: `docker import /usr/share/guest/alpine.tar alpine:latest`. It has busybox,
# ip, and an apk that finds everything installed.
images=usr/share/guest tree=usr/share/guest/tree
mkdir -p "$tree/bin" "$tree/etc" "$tree/proc" "$tree/root" "$tree/sbin" "$tree/sys" "$tree/tmp"
cp usr/bin/busybox "$tree/bin/"
for applet in $(chroot . busybox --list); do
    [ "$applet" = busybox ] || [ "$applet" = ip ] || ln -s busybox "$tree/bin/$applet"
done
copy_programs "$tree" /sbin/ip
printf '#!/bin/sh\n' >"$tree/sbin/apk"
chmod +x "$tree/sbin/apk"
printf 'root:x:0:0:root:/root:/bin/sh\n' >"$tree/etc/passwd"
printf 'root:x:0:\n' >"$tree/etc/group"
tar -C "$tree" -cf "$images/alpine.tar" .
rm -rf "$tree"

# Nothing is left for systemd to bring up to date.
touch etc/.updated var/.updated
cd /
mke2fs -q -t ext4 -O ^has_journal -m 0 -L real -E lazy_itable_init=1,root_owner=0:0 -d "$root" "$image" 3G
