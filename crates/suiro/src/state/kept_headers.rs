//! Headers inside of a row, for stores whose rows are made of several records.

use suiro_core::{Header, Headers};

/// Headers as they are in the changelog.
pub(super) type KeptHeaders = Vec<(String, Option<Vec<u8>>)>;

/// Headers to be written.
pub(super) fn keep(headers: &Headers) -> KeptHeaders {
    let bytes = |header: &Header| header.value.as_ref().map(|value| value.to_vec());
    headers.iter().map(|header| (header.key.clone(), bytes(header))).collect()
}

/// Headers that were written.
pub(super) fn load(kept: KeptHeaders) -> Headers {
    let header =
        |(key, value): (String, Option<Vec<u8>>)| Header { key, value: value.map(Into::into) };
    kept.into_iter().map(header).collect::<Vec<_>>().into()
}
