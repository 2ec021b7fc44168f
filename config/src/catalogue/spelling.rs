//! Other spellings that a server takes for the same model. A deny rule would be evaded by them.

/// How a server reads the names of models.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Names {
    /// By their bytes.
    #[default]
    Exact,
    /// As Ollama: host, namespace and tag may be left out, and case does not count.
    Ollama,
}

const HOST: &str = "registry.ollama.ai";
const NAMESPACE: &str = "library";
const TAG: &str = "latest";

impl Names {
    /// Adds every spelling of a name, in lower case.
    pub(super) fn spell(self, name: &str, spellings: &mut Vec<String>) {
        match self {
            Self::Exact => {}
            Self::Ollama => ollama(name, spellings),
        }
    }
}

/// `{host}/{namespace}/{model}:{tag}`; `:local` behind all that only forbids the cloud.
fn ollama(name: &str, spellings: &mut Vec<String>) {
    let name: String = name.chars().filter(|c| !c.is_whitespace()).collect();
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix(":local").unwrap_or(&name);
    let (path, tag) = match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, tag),
        Some(_) | None => (name, TAG),
    };
    let mut parts = path.rsplitn(3, '/');
    let model = parts.next().unwrap_or_default();
    let namespace = parts.next().unwrap_or(NAMESPACE);
    let host = parts.next().unwrap_or(HOST);
    let host = host.split_once("://").map_or(host, |(_, host)| host);
    let mut paths = vec![format!("{host}/{namespace}/{model}")];
    if host == HOST {
        paths.push(format!("{namespace}/{model}"));
        if namespace == NAMESPACE {
            paths.push(model.to_owned());
        }
    }
    for path in paths {
        spellings.push(format!("{path}:{tag}"));
        if tag == TAG {
            spellings.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    fn spell(name: &str) -> Vec<String> {
        let mut spellings = Vec::new();
        Names::Ollama.spell(name, &mut spellings);
        spellings.sort();
        spellings
    }

    #[test]
    fn what_may_be_left_out_makes_no_other_model() {
        let all = [
            "library/secret",
            "library/secret:latest",
            "registry.ollama.ai/library/secret",
            "registry.ollama.ai/library/secret:latest",
            "secret",
            "secret:latest",
        ];
        let others = [
            "SECRET:Latest",
            "secret:local",
            "secret:latest:LOCAL",
            "secret: local",
            "https://registry.ollama.ai/library/secret",
        ];
        for name in all.into_iter().chain(others) {
            assert_eq!(spell(name), all, "{name}");
        }
    }

    #[test]
    fn another_tag_namespace_or_host_makes_another_model() {
        assert_eq!(
            spell("Team/Secret:7B"),
            ["registry.ollama.ai/team/secret:7b", "team/secret:7b"]
        );
        assert_eq!(spell("hf.co:443/team/x"), ["hf.co:443/team/x", "hf.co:443/team/x:latest"]);
        assert!(spell("x:cloud").contains(&"x:cloud".to_owned()));
        assert!(!spell("x:cloud").contains(&"x".to_owned()));
    }
}
