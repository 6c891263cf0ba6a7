//! Random texts that let somebody in: keys and sessions.

use crate::error::{Error, Result};

/// What they are made of: nothing that a shell, a header, a form or a cookie would have to escape.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// The most bytes that the alphabet divides evenly; those above would favour the first letters.
const FAIR: u8 = 248;

/// `count` letters and digits from the system's generator; 43 hold 256 bits.
pub(super) fn random_text(count: usize) -> Result<String> {
    let mut text = String::with_capacity(count);
    while text.len() < count {
        let mut bytes = [0; 64];
        getrandom::fill(&mut bytes)
            .map_err(|error| Error::internal("the system gives no random bytes", error))?;
        let usable = bytes.iter().filter(|&&byte| byte < FAIR);
        let characters = usable.map(|&byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
        text.extend(characters.take(count - text.len()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_texts_have_the_length_that_was_asked_for_and_differ() {
        for count in [0, 1, 43, 64, 200] {
            let text = random_text(count).expect("random bytes");
            assert!(text.len() == count && text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
        assert_ne!(random_text(43).expect("random bytes"), random_text(43).expect("random bytes"));
    }
}
