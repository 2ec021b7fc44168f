//! Opens a browser, where there is one.

use std::env;
use std::process::Stdio;

use tokio::process::Command;

/// Whether a person in front of this machine could see a browser.
pub(crate) fn is_likely() -> bool {
    if env::var_os("SSH_CONNECTION").is_some() {
        return false;
    }
    cfg!(target_os = "macos")
        || ["DISPLAY", "WAYLAND_DISPLAY"]
            .iter()
            .any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Opens a URL, which was checked to be http or https. Nothing comes of it where there is no
/// browser: the URL was shown as well.
pub(crate) fn open(url: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let child = Command::new(program)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if let Ok(mut child) = child {
        tokio::spawn(async move { child.wait().await });
    }
}
