//! Gzip, by `flate2` and its Rust backend.

use super::{checked, damaged, refused};
use crate::Result;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use std::io::{Read, Write};

pub(super) fn compress(payload: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let mut encoder = GzEncoder::new(out, flate2::Compression::default());
    encoder.write_all(payload).map_err(refused)?;
    encoder.finish().map_err(refused)?;
    Ok(())
}

pub(super) fn decompress(bytes: &[u8], limit: usize) -> Result<Vec<u8>> {
    let mut payload = Vec::new();
    MultiGzDecoder::new(bytes)
        .take(limit as u64 + 1)
        .read_to_end(&mut payload)
        .map_err(damaged)?;
    checked(payload.len(), limit)?;
    Ok(payload)
}
