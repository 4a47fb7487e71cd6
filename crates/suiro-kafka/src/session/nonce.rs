//! Bytes that nobody can foresee: the one place of a session where chance comes in.

use std::fs::File;
use std::io::Read;
use suiro_core::{Error, Result};

/// Bytes from the system, for a log-in that must not be the same as one before. Nothing that is
/// computed, stored or sent to a topic depends on them.
pub(crate) fn nonce() -> Result<[u8; 18]> {
    let mut bytes = [0; 18];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|error| Error::unavailable("system gives no random bytes").caused_by(error))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::nonce;

    #[test]
    fn no_two_are_the_same() {
        assert_ne!(nonce().unwrap(), nonce().unwrap());
    }
}
