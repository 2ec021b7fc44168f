//! The vault: each secret under a data key of its own, each data key under the master key, both
//! with AES-256-GCM, both bound to the secret's name and generation, so that no ciphertext can
//! stand in for another one. Randomness is passed in.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::state::Sealed;

/// Largest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 16 * 1024;
/// Length of the master key and of data keys, in bytes.
pub const KEY_BYTES: usize = 32;

/// The key that wraps all data keys. Shows nothing and is zeroised.
pub struct MasterKey(Zeroizing<[u8; KEY_BYTES]>);

/// Random bytes for one sealing; used once.
pub struct SealRandom {
    data_key: Zeroizing<[u8; KEY_BYTES]>,
    key_nonce: [u8; NONCE_LEN],
    value_nonce: [u8; NONCE_LEN],
}

/// What is wrong with a secret, never with what is in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum VaultError {
    /// No value.
    #[error("the value is empty")]
    Empty,
    /// Longer than [`VALUE_BYTES_MAX`].
    #[error("the value is longer than 16 KiB")]
    TooLong,
    /// CR, LF, NUL or another control character: it could end a header.
    #[error("the value has a line break or another control character")]
    Control,
    /// Not UTF-8.
    #[error("the value is not UTF-8")]
    NotText,
    /// Not 32 bytes in base64.
    #[error("the encryption key is not 32 bytes in base64")]
    MasterKey,
    /// The ciphertext was made with another key, for another name or generation, or is damaged.
    #[error("the secret does not open with this encryption key")]
    Open,
    /// The cipher refused: the machine's cryptography does not work.
    #[error("sealing failed")]
    Seal,
}

impl MasterKey {
    /// A key from its bytes.
    pub fn new(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self(bytes)
    }

    /// Reads a key from base64; white space around it does not count.
    ///
    /// # Errors
    /// [`VaultError::MasterKey`].
    pub fn from_base64(text: &str) -> Result<Self, VaultError> {
        let bytes = Zeroizing::new(STANDARD.decode(text.trim()).unwrap_or_default());
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        if bytes.len() != KEY_BYTES {
            return Err(VaultError::MasterKey);
        }
        key.copy_from_slice(&bytes);
        Ok(Self(key))
    }
}

impl SealRandom {
    /// How many random bytes it takes.
    pub const BYTES: usize = KEY_BYTES + 2 * NONCE_LEN;

    /// Splits random bytes.
    pub fn new(bytes: &Zeroizing<[u8; Self::BYTES]>) -> Self {
        let mut random = Self {
            data_key: Zeroizing::new([0; KEY_BYTES]),
            key_nonce: [0; NONCE_LEN],
            value_nonce: [0; NONCE_LEN],
        };
        let (key, nonces) = bytes.split_at(KEY_BYTES);
        let (key_nonce, value_nonce) = nonces.split_at(NONCE_LEN);
        random.data_key.copy_from_slice(key);
        random.key_nonce.copy_from_slice(key_nonce);
        random.value_nonce.copy_from_slice(value_nonce);
        random
    }
}

/// Checks that a value can be a credential in a header.
///
/// # Errors
/// Empty, too long, not UTF-8, control characters.
pub fn check_value(value: &[u8]) -> Result<&str, VaultError> {
    if value.is_empty() {
        return Err(VaultError::Empty);
    }
    if value.len() > VALUE_BYTES_MAX {
        return Err(VaultError::TooLong);
    }
    let text = std::str::from_utf8(value).map_err(|_| VaultError::NotText)?;
    if text.chars().any(char::is_control) { Err(VaultError::Control) } else { Ok(text) }
}

/// Seals a value for a name and a generation.
///
/// # Errors
/// The value is no credential, see [`check_value`].
pub fn seal(
    master: &MasterKey,
    name: &str,
    generation: u64,
    value: &[u8],
    random: SealRandom,
) -> Result<Sealed, VaultError> {
    check_value(value)?;
    let SealRandom { data_key, key_nonce, value_nonce } = random;
    let key_label = label(b"key", name, generation);
    let value_label = label(b"value", name, generation);
    Ok(Sealed {
        generation,
        wrapped_key: encrypt(&master.0, key_nonce, &key_label, &*data_key)?,
        ciphertext: encrypt(&data_key, value_nonce, &value_label, value)?,
    })
}

/// Opens a sealed value.
///
/// # Errors
/// [`VaultError::Open`] whatever the reason.
pub fn open(
    master: &MasterKey,
    name: &str,
    sealed: &Sealed,
) -> Result<Zeroizing<String>, VaultError> {
    let key_label = label(b"key", name, sealed.generation);
    let unwrapped = decrypt(&master.0, &key_label, &sealed.wrapped_key)?;
    let mut data_key = Zeroizing::new([0; KEY_BYTES]);
    if unwrapped.len() != KEY_BYTES {
        return Err(VaultError::Open);
    }
    data_key.copy_from_slice(&unwrapped);
    let value_label = label(b"value", name, sealed.generation);
    let value = decrypt(&data_key, &value_label, &sealed.ciphertext)?;
    let text = std::str::from_utf8(&value).map_err(|_| VaultError::Open)?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// What a ciphertext is bound to.
fn label(part: &[u8], name: &str, generation: u64) -> Vec<u8> {
    let mut label = b"penstock-secret-1\0".to_vec();
    label.extend_from_slice(part);
    label.push(0);
    label.extend_from_slice(&generation.to_be_bytes());
    label.extend_from_slice(name.as_bytes());
    label
}

fn cipher(key: &[u8; KEY_BYTES]) -> Result<LessSafeKey, VaultError> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| VaultError::Seal)
}

fn encrypt(
    key: &[u8; KEY_BYTES],
    nonce: [u8; NONCE_LEN],
    label: &[u8],
    clear: &[u8],
) -> Result<String, VaultError> {
    let mut sealed = nonce.to_vec();
    // Room for all of it at once, so that no copy of the clear text is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(clear.len() + AES_256_GCM.tag_len()));
    bytes.extend_from_slice(clear);
    cipher(key)?
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(label),
            &mut *bytes,
        )
        .map_err(|_| VaultError::Seal)?;
    sealed.extend_from_slice(&bytes);
    Ok(STANDARD.encode(sealed))
}

fn decrypt(
    key: &[u8; KEY_BYTES],
    label: &[u8],
    sealed: &str,
) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let sealed = STANDARD.decode(sealed).map_err(|_| VaultError::Open)?;
    let (nonce, bytes) = sealed.split_at_checked(NONCE_LEN).ok_or(VaultError::Open)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| VaultError::Open)?;
    let mut bytes = Zeroizing::new(bytes.to_vec());
    let length = cipher(key)
        .and_then(|cipher| {
            let opened = cipher.open_in_place(nonce, Aad::from(label), &mut bytes);
            opened.map(|clear| clear.len()).map_err(|_| VaultError::Open)
        })
        .map_err(|_| VaultError::Open)?;
    bytes.truncate(length);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> MasterKey {
        MasterKey::new(Zeroizing::new([byte; KEY_BYTES]))
    }

    fn sealed(name: &str, generation: u64) -> Sealed {
        let random = SealRandom::new(&Zeroizing::new([7; SealRandom::BYTES]));
        seal(&key(1), name, generation, b"sk-model", random).unwrap()
    }

    #[test]
    fn a_sealed_value_opens_with_its_key_name_and_generation_only() {
        let one = sealed("llama", 1);
        assert_eq!(open(&key(1), "llama", &one).map(|v| v.to_string()), Ok("sk-model".into()));
        assert!(open(&key(2), "llama", &one).is_err());
        assert!(open(&key(1), "other", &one).is_err());
        assert!(open(&key(1), "llama", &Sealed { generation: 2, ..one.clone() }).is_err());
        let two = sealed("llama", 2);
        assert!(open(&key(1), "llama", &Sealed { ciphertext: two.ciphertext, ..one }).is_err());
    }

    #[test]
    fn a_sealed_value_holds_no_clear_text() {
        let sealed = sealed("llama", 1);
        for text in [sealed.wrapped_key, sealed.ciphertext] {
            let bytes = STANDARD.decode(&text).unwrap();
            assert!(!bytes.windows(8).any(|window| window == b"sk-model"));
            let behind_the_nonce = &bytes[NONCE_LEN..];
            assert!(!behind_the_nonce.windows(8).any(|window| window == [7; 8]), "a clear key");
        }
    }

    #[test]
    fn a_value_that_could_end_a_header_is_refused() {
        let long = vec![b'a'; VALUE_BYTES_MAX + 1];
        let cases: [(&[u8], VaultError); 6] = [
            (b"", VaultError::Empty),
            (b"a\rb", VaultError::Control),
            (b"a\n", VaultError::Control),
            (b"a\0", VaultError::Control),
            (b"\xff", VaultError::NotText),
            (&long, VaultError::TooLong),
        ];
        for (value, expected) in cases {
            let random = SealRandom::new(&Zeroizing::new([7; SealRandom::BYTES]));
            assert_eq!(seal(&key(1), "llama", 1, value, random), Err(expected));
        }
    }

    #[test]
    fn a_master_key_of_another_length_is_refused() {
        assert!(MasterKey::from_base64(&STANDARD.encode([1; 32])).is_ok());
        for text in ["", "####", &STANDARD.encode([1; 31]), &STANDARD.encode([1; 33])] {
            assert_eq!(MasterKey::from_base64(text).err(), Some(VaultError::MasterKey));
        }
    }
}
