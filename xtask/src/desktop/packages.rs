//! What the window of a desktop needs of the system, named when it is missing.

use anyhow::{Result, bail};

use crate::repo::Repo;
use crate::shell;

/// Something to build with, or to test with, and the package that has it.
struct Needed {
    what: &'static str,
    /// Whether it is there.
    is_there: fn(&Repo, &str) -> bool,
    debian: &'static str,
    fedora: &'static str,
}

/// On Linux; macOS and Windows bring a web view of their own.
const TO_BUILD: [Needed; 4] = [
    Needed { what: "pkg-config", is_there: program, debian: "pkg-config", fedora: "pkgconf-pkg-config" },
    Needed {
        what: "webkit2gtk-4.1",
        is_there: module,
        debian: "libwebkit2gtk-4.1-dev",
        fedora: "webkit2gtk4.1-devel",
    },
    Needed { what: "openssl", is_there: module, debian: "libssl-dev", fedora: "openssl-devel" },
    Needed { what: "libxdo.so", is_there: library, debian: "libxdo-dev", fedora: "libxdo-devel" },
];

/// A display that nobody sees, hands for it, and a camera.
const TO_TEST: [Needed; 3] = [
    Needed { what: "Xvfb", is_there: program, debian: "xvfb", fedora: "xorg-x11-server-Xvfb" },
    Needed { what: "xdotool", is_there: program, debian: "xdotool", fedora: "xdotool" },
    Needed { what: "import", is_there: program, debian: "imagemagick", fedora: "ImageMagick" },
];

/// Fails with the names of what is missing.
pub(super) fn ensure(repo: &Repo, test: bool) -> Result<()> {
    if !cfg!(target_os = "linux") {
        if test {
            bail!("the test of the desktop needs a virtual display, which only Linux has");
        }
        return Ok(());
    }
    let needed = TO_BUILD.iter().chain(TO_TEST.iter().filter(|_| test));
    let missing: Vec<_> = needed.filter(|needed| !(needed.is_there)(repo, needed.what)).collect();
    if missing.is_empty() { Ok(()) } else { bail!(words(&missing)) }
}

fn words(missing: &[&Needed]) -> String {
    let join = |names: fn(&Needed) -> &'static str, between| {
        missing.iter().map(|needed| names(needed)).collect::<Vec<_>>().join(between)
    };
    format!(
        "not on this machine: {}\n    Debian, Ubuntu: apt install {}\n    Fedora: dnf install {}",
        join(|needed| needed.what, ", "),
        join(|needed| needed.debian, " "),
        join(|needed| needed.fedora, " "),
    )
}

fn program(_: &Repo, name: &str) -> bool {
    shell::find(&[name]).is_some()
}

fn module(repo: &Repo, name: &str) -> bool {
    shell::succeeds(repo.command("pkg-config").args(["--exists", name]))
}

/// Whether the linker finds it: the compiler then says where.
fn library(repo: &Repo, name: &str) -> bool {
    shell::output(repo.command("cc").arg(format!("-print-file-name={name}"))).is_ok_and(|path| path != name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_packages() {
        let words = words(&[&TO_BUILD[1], &TO_BUILD[3]]);
        for name in
            ["webkit2gtk-4.1, libxdo.so", "apt install libwebkit2gtk-4.1-dev libxdo-dev", "dnf install"]
        {
            assert!(words.contains(name), "{name} is not in {words}");
        }
    }

    #[test]
    fn what_does_not_exist_is_not_there() {
        let repo = Repo::find().unwrap();
        for is_there in [program, module, library] {
            assert!(!is_there(&repo, "no-such-thing"));
        }
    }
}
