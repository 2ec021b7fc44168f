//! Profiles: where `penstock login` keeps whom somebody is signed in as, and the tokens for it.

use std::env;
use std::fs::{self, File, TryLockError};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::private_files;
use crate::secret::Secret;

/// The profile that is meant where none is named.
pub(crate) const DEFAULT: &str = "default";
/// Largest file of a profile, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// A token that ends within this time is not used any more: it has to arrive before its end.
const MARGIN_MS: u64 = 30_000;
/// Longest wait for another command that refreshes the same profile.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(60);

/// What a token is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// Calls to the control plane.
    Api,
    /// Requests through the gateway.
    Gateway,
}

/// One of a profile's tokens.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Token {
    /// A JWT.
    pub(crate) token: Secret,
    /// When it ends, milliseconds since the Unix epoch.
    pub(crate) expires_ms: u64,
}

/// What an identity provider is asked for: values of `resource` (RFC 8707), none where it takes
/// none, and the audiences that the tokens must have.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// `resource` for the control plane.
    pub(crate) api_resource: Option<String>,
    /// `resource` for the gateway.
    pub(crate) gateway_resource: Option<String>,
    /// Audience of the gateway's tokens.
    pub(crate) gateway_audience: String,
}

/// A file of a profile.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// URL of the control plane.
    pub(crate) url: String,
    /// URL of the gateway, where it is known.
    pub(crate) gateway: Option<String>,
    /// PEM of authorities that are trusted beside the system's.
    pub(crate) ca: Option<String>,
    /// URL of the identity provider.
    pub(crate) issuer: String,
    /// As what this command line is known there.
    pub(crate) client_id: String,
    /// Where tokens are refreshed.
    pub(crate) token_endpoint: String,
    /// Where they are revoked (RFC 7009).
    pub(crate) revocation_endpoint: Option<String>,
    /// What is asked for.
    pub(crate) wanted: Wanted,
    /// `sub` of the identity token.
    pub(crate) subject: String,
    /// Name or address for people, as the identity token says it.
    pub(crate) name: Option<String>,
    /// For the control plane.
    pub(crate) api_token: Option<Token>,
    /// For the gateway.
    pub(crate) gateway_token: Option<Token>,
    /// With what new ones are got.
    pub(crate) refresh_token: Option<Secret>,
}

impl Profile {
    /// The token for that, if it lasts a little longer.
    pub(crate) fn token(&self, purpose: Purpose, now_ms: u64) -> Option<&Token> {
        let lasts = |token: &&Token| token.expires_ms > now_ms.saturating_add(MARGIN_MS);
        self.newest_token(purpose).filter(lasts)
    }

    /// The token for that, whether it lasts or not.
    pub(crate) fn newest_token(&self, purpose: Purpose) -> Option<&Token> {
        match purpose {
            Purpose::Api => self.api_token.as_ref(),
            Purpose::Gateway => self.gateway_token.as_ref(),
        }
    }
}

/// The folder of all profiles.
#[derive(Clone, Debug)]
pub(crate) struct Profiles {
    folder: PathBuf,
}

impl Profiles {
    /// `$XDG_CONFIG_HOME/penstock/profiles`, or below `~/.config`.
    ///
    /// # Errors
    /// There is neither.
    pub(crate) fn locate() -> Result<Self, Failure> {
        let absolute =
            |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let settings = absolute("XDG_CONFIG_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".config")))
            .ok_or_else(|| {
                Failure::machine("there is no folder for profiles: HOME is not set")
                    .hint("set HOME or XDG_CONFIG_HOME")
            })?;
        Ok(Self { folder: settings.join("penstock/profiles") })
    }

    /// Whether there is one of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.file(name).exists()
    }

    /// The profile of that name, if there is one.
    ///
    /// # Errors
    /// Others than its owner may read it, or it can't be understood.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Profile>, Failure> {
        let path = self.file(name);
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(private_files::cannot("read", &path, &error)),
        };
        private_files::check_private(&path)?;
        let unfit = |why: &str| {
            Failure::machine(format!("{} can't be understood: {why}", path.display()))
                .hint(format!("penstock login --profile {name}"))
        };
        if metadata.len() > FILE_BYTES_MAX {
            return Err(unfit("it is larger than a profile"));
        }
        let content =
            fs::read(&path).map_err(|error| private_files::cannot("read", &path, &error))?;
        let content = Zeroizing::new(content);
        // The message of a wrong value would hold the value.
        serde_json::from_slice(&content)
            .map(Some)
            .map_err(|error| unfit(&format!("line {}, column {}", error.line(), error.column())))
    }

    /// The profile of that name.
    ///
    /// # Errors
    /// As [`Self::read`]; there is none.
    pub(crate) fn existing(&self, name: &str) -> Result<Profile, Failure> {
        self.read(name)?.ok_or_else(|| {
            Failure::machine(format!("nobody is signed in as profile {name}"))
                .hint(format!("penstock login --profile {name}"))
        })
    }

    /// Writes a profile whole or not at all.
    pub(crate) fn write(&self, name: &str, profile: &Profile) -> Result<(), Failure> {
        private_files::make_folder(&self.folder)?;
        // Larger than any profile: a buffer that grew would leave copies behind.
        let mut content = Zeroizing::new(Vec::with_capacity(2 << 20));
        serde_json::to_writer_pretty(&mut *content, profile)
            .map_err(|_| Failure::failed("the profile can't be written"))?;
        private_files::write(&self.file(name), &content)
    }

    /// Removes a profile.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Failure> {
        let path = self.file(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(private_files::cannot("removed", &path, &error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Takes a profile for this process until the file is closed: a refresh token that two
    /// processes use at once is taken for stolen.
    pub(crate) async fn lock(&self, name: &str) -> Result<File, Failure> {
        private_files::make_folder(&self.folder)?;
        let path = self.folder.join(format!("{name}.lock"));
        let file = private_files::open_for_append(&path)?;
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if began.elapsed() < LOCK_WAIT_MAX => {
                    sleep(Duration::from_millis(50)).await;
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Failure::failed("another command holds this profile"));
                }
                Err(TryLockError::Error(error)) => {
                    return Err(private_files::cannot("locked", &path, &error));
                }
            }
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::failure::Exit;

    fn profile() -> Profile {
        let token = |text: &str| Token { token: Secret::new(text.to_owned()), expires_ms: 60_000 };
        Profile {
            url: "https://penstock.example.com".to_owned(),
            gateway: None,
            ca: None,
            issuer: "https://id.example.com".to_owned(),
            client_id: "penstock".to_owned(),
            token_endpoint: "https://id.example.com/token".to_owned(),
            revocation_endpoint: None,
            wanted: Wanted {
                api_resource: Some("urn:penstock-api".to_owned()),
                gateway_resource: Some("urn:penstock".to_owned()),
                gateway_audience: "penstock".to_owned(),
            },
            subject: "4711".to_owned(),
            name: Some("ada".to_owned()),
            api_token: Some(token("first-secret")),
            gateway_token: None,
            refresh_token: Some(Secret::new("second-secret".to_owned())),
        }
    }

    fn mode(path: &std::path::Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_profile_lies_in_a_folder_and_a_file_of_its_owners_own() {
        let parent = tempfile::tempdir().unwrap();
        let profiles = Profiles { folder: parent.path().join("penstock/profiles") };
        assert!(profiles.read("default").unwrap().is_none());
        assert_eq!(profiles.existing("default").unwrap_err().exit, Exit::Machine);
        profiles.write("default", &profile()).unwrap();
        assert_eq!(mode(&profiles.folder), 0o700);
        assert_eq!(mode(&profiles.file("default")), 0o600);
        let read = profiles.existing("default").unwrap();
        assert_eq!(read.refresh_token.unwrap().reveal(), "second-secret");
        assert!(profiles.has("default"));
        profiles.remove("default").unwrap();
        profiles.remove("default").unwrap();
        assert!(!profiles.has("default"));
    }

    #[test]
    fn a_profile_that_others_may_read_is_refused_and_a_broken_one_does_not_show_itself() {
        let parent = tempfile::tempdir().unwrap();
        let profiles = Profiles { folder: parent.path().to_owned() };
        profiles.write("p", &profile()).unwrap();
        fs::set_permissions(profiles.file("p"), Permissions::from_mode(0o640)).unwrap();
        assert_eq!(profiles.read("p").unwrap_err().exit, Exit::Machine);
        private_files::write(&profiles.file("p"), b"{\"url\": [\"hunter2\"]}").unwrap();
        let failure = profiles.read("p").unwrap_err();
        assert!(!failure.message.contains("hunter2"), "{failure}");
    }

    #[test]
    fn a_token_near_its_end_is_not_used_and_no_token_is_shown() {
        let profile = profile();
        assert!(profile.token(Purpose::Api, 60_000 - MARGIN_MS - 1).is_some());
        assert!(profile.token(Purpose::Api, 60_000 - MARGIN_MS).is_none());
        assert!(profile.token(Purpose::Gateway, 0).is_none());
        assert!(!format!("{profile:?}").contains("secret"));
    }

    #[tokio::test]
    async fn two_commands_never_refresh_one_profile_at_once() {
        let parent = tempfile::tempdir().unwrap();
        let profiles = Profiles { folder: parent.path().to_owned() };
        let held = profiles.lock("p").await.unwrap();
        let second = profiles.lock("p");
        tokio::pin!(second);
        let early = tokio::time::timeout(Duration::from_millis(120), &mut second).await;
        assert!(early.is_err(), "the lock was given twice");
        drop(held);
        second.await.unwrap();
    }
}
