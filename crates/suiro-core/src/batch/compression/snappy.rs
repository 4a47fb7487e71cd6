//! Snappy by `snap`, in the frame of xerial's snappy-java, which Kafka uses.
//!
//! The frame is a header of 16 bytes and blocks of a length (4 bytes, big-endian) and raw
//! snappy. Some clients send raw snappy without the frame.

use super::{checked, damaged, refused};
use crate::{Error, Result};
use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

/// The magic bytes, the version and the oldest compatible version.
const HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const MAGIC: &[u8] = HEADER.split_at(8).0;
const BLOCK: usize = 32 * 1024;

/// No byte of raw snappy stands for more: the longest copy is 64 bytes and takes 3.
const LARGEST_GROWTH: usize = 22;

pub(super) fn compress(payload: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let mut encoder = Encoder::new();
    out.extend_from_slice(&HEADER);
    for block in payload.chunks(BLOCK) {
        let start = out.len();
        out.resize(start + 4 + max_compress_len(block.len()), 0);
        let length = encoder.compress(block, &mut out[start + 4..]).map_err(refused)?;
        out[start..start + 4].copy_from_slice(&(length as u32).to_be_bytes());
        out.truncate(start + 4 + length);
    }
    Ok(())
}

pub(super) fn decompress(bytes: &[u8], limit: usize) -> Result<Vec<u8>> {
    let mut payload = Vec::new();
    if !bytes.starts_with(MAGIC) {
        decompress_block(bytes, limit, &mut payload)?;
        return Ok(payload);
    }
    let cut_off = || Error::corrupt("batch cannot be decompressed: a block is cut off");
    let mut rest = bytes.get(HEADER.len()..).ok_or_else(cut_off)?;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk().ok_or_else(cut_off)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (block, after) = after.split_at_checked(length).ok_or_else(cut_off)?;
        decompress_block(block, limit, &mut payload)?;
        rest = after;
    }
    Ok(payload)
}

fn decompress_block(block: &[u8], limit: usize, payload: &mut Vec<u8>) -> Result<()> {
    let start = payload.len();
    let claimed = decompress_len(block).map_err(damaged)?;
    if claimed > block.len().saturating_mul(LARGEST_GROWTH) {
        return Err(Error::corrupt("batch cannot be decompressed: a block claims too much")
            .with("bytes", block.len())
            .with("claimed", claimed));
    }
    payload.resize(checked(start.saturating_add(claimed), limit)?, 0);
    let length = Decoder::new().decompress(block, &mut payload[start..]).map_err(damaged)?;
    payload.truncate(start + length);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_snappy_without_the_frame_is_read() {
        let payload = b"stream ".repeat(100);
        let raw = Encoder::new().compress_vec(&payload).unwrap();
        assert_eq!(decompress(&raw, 1 << 20).unwrap(), payload);
    }

    #[test]
    fn a_claim_without_bytes_behind_it_is_refused() {
        let claim = [0xff, 0xff, 0xff, 0xff, 0x03, 0x00];
        assert!(decompress(&claim, 1 << 30).unwrap_err().to_string().contains("claims"));
        let framed = [&HEADER[..], &[0, 0, 0, 6], &claim].concat();
        assert!(decompress(&framed, 1 << 30).unwrap_err().to_string().contains("claims"));
        assert!(
            decompress(&framed[..25], 1 << 30).unwrap_err().to_string().contains("cut off")
        );
        assert!(decompress(&HEADER[..9], 1 << 30).unwrap_err().to_string().contains("cut off"));
    }

    #[test]
    fn the_most_compressible_block_is_within_the_growth_allowed() {
        let payload = vec![0; 1 << 20];
        let raw = Encoder::new().compress_vec(&payload).unwrap();
        assert!(decompress(&raw, payload.len()).unwrap() == payload);
    }
}
