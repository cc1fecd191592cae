//! Programs that hold terminals for others.

/// As the kernel names their processes. When one of them ends, the kernel hangs its terminals up.
pub const HOLDERS: [&str; 12] = [
    "sshd",
    "sshd-session",
    "login",
    "script",
    "screen",
    "tmux: server",
    "ttyd",
    "mosh-server",
    "xterm",
    "konsole",
    "gnome-terminal-server",
    "xfce4-terminal",
];
