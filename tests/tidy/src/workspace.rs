//! The law of direction: which crate of the workspace may depend on which.

use crate::Breach;
use crate::files::TextFile;

/// Each crate and those it may depend on, in story order.
const MAY_DEPEND_ON: [(&str, &[&str]); 19] = [
    ("config", &[]),
    ("http", &["config"]),
    ("identity", &["config"]),
    ("mask", &["config", "http"]),
    ("reactor", &[]),
    ("tls", &["reactor"]),
    ("gateway", &["config", "http", "identity", "mask", "reactor", "tls"]),
    ("app", &["config", "identity", "mask"]),
    ("store", &["app", "config"]),
    ("api", &["app", "config", "identity"]),
    ("server", &["api", "app", "store", "config", "identity"]),
    ("cli", &["config", "mask"]),
    ("loadtest", &[]),
    ("harness", &["config", "identity"]),
    ("journeys", &["harness", "config"]),
    ("fuzz", &["config", "http", "identity", "mask"]),
    ("faults", &["harness", "config"]),
    ("sim", &["app", "config"]),
    ("tidy", &[]),
];

/// Every crate depends only on what [`MAY_DEPEND_ON`] lists; for its tests, on the harness too.
pub fn dependency_direction(files: &[TextFile]) -> Vec<Breach> {
    let manifests = files.iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    manifests.flat_map(manifest).collect()
}

fn manifest(file: &TextFile) -> Vec<Breach> {
    let folder = file.path.trim_end_matches("/Cargo.toml");
    let name = folder.rsplit('/').next().unwrap_or(folder);
    let Some((_, allowed)) = MAY_DEPEND_ON.iter().find(|(listed, _)| *listed == name) else {
        return vec![Breach::new(&file.path, 0, "a crate that the table of directions lacks")];
    };
    let mut breaches = Vec::new();
    let mut section = "";
    for (number, line) in file.lines() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
        }
        let own = line.strip_prefix("penstock-").filter(|_| section.ends_with("dependencies"));
        let Some(rest) = own else { continue };
        let dependency = rest.split(['.', ' ', '=']).next().unwrap_or(rest);
        let for_tests = section == "dev-dependencies" && dependency == "harness";
        if !allowed.contains(&dependency) && !for_tests {
            let message = format!("{name} may not depend on {dependency}: allowed are {allowed:?}");
            breaches.push(Breach::new(&file.path, number, message));
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(path: &str, text: &str) -> usize {
        dependency_direction(&[TextFile::new(path, text)]).len()
    }

    #[test]
    fn a_dependency_against_the_direction_is_seen_in_every_section() {
        for section in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let text = format!("[{section}]\npenstock-gateway.workspace = true\n");
            assert_eq!(breaches("config/Cargo.toml", &text), 1, "{section}");
        }
        let path = "[dependencies]\npenstock-store = { path = \"../store\" }\n";
        assert_eq!(breaches("controlplane/app/Cargo.toml", path), 1);
    }

    #[test]
    fn a_dependency_in_the_direction_is_right_and_tests_may_use_the_harness() {
        let text = "[dependencies]\npenstock-config.workspace = true\n[dev-dependencies]\n\
                    penstock-harness.workspace = true\n";
        assert_eq!(breaches("dataplane/http/Cargo.toml", text), 0);
        let text = "[dependencies]\npenstock-harness.workspace = true\n";
        assert_eq!(breaches("dataplane/http/Cargo.toml", text), 1);
    }

    #[test]
    fn a_crate_that_the_table_lacks_is_seen() {
        assert_eq!(breaches("dataplane/other/Cargo.toml", "[package]\n"), 1);
    }
}
