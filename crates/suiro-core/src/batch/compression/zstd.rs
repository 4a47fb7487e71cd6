//! Zstandard, by `ruzstd`.

use super::{checked, damaged};
use crate::Result;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::encoding::CompressionLevel;

/// About how many bytes are decompressed before they are counted.
const STEP: usize = 1 << 20;

pub(super) fn compress(payload: &[u8], out: &mut Vec<u8>) -> Result<()> {
    ruzstd::encoding::compress(payload, out, CompressionLevel::Fastest);
    Ok(())
}

pub(super) fn decompress(bytes: &[u8], limit: usize) -> Result<Vec<u8>> {
    let mut payload = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        // A decoder that is used again takes the memory that the next frame claims to need.
        let mut decoder = FrameDecoder::new();
        decoder.init(&mut rest).map_err(damaged)?;
        while !decoder.is_finished() {
            decoder
                .decode_blocks(&mut rest, BlockDecodingStrategy::UptoBytes(STEP))
                .map_err(damaged)?;
            checked(payload.len().saturating_add(decoder.can_collect()), limit)?;
            decoder.collect_to_writer(&mut payload).map_err(damaged)?;
        }
    }
    Ok(payload)
}
