//! LZ4 frames, by `lz4_flex`.

use super::{checked, damaged, refused};
use crate::Result;
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use std::io::{BufRead, Write};

pub(super) fn compress(payload: &[u8], out: &mut Vec<u8>) -> Result<()> {
    // Kafka's own reader knows independent blocks only.
    let frame =
        FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(frame, out);
    encoder.write_all(payload).map_err(refused)?;
    encoder.finish().map_err(refused)?;
    Ok(())
}

pub(super) fn decompress(bytes: &[u8], limit: usize) -> Result<Vec<u8>> {
    let mut payload = Vec::with_capacity(bytes.len());
    let mut decoder = FrameDecoder::new(bytes);
    loop {
        let left = decoder.get_ref().len();
        let block = decoder.fill_buf().map_err(damaged)?;
        let length = block.len();
        checked(payload.len() + length, limit)?;
        payload.extend_from_slice(block);
        decoder.consume(length);
        // A frame ends with nothing; another one may follow it.
        if length == 0 && (decoder.get_ref().is_empty() || decoder.get_ref().len() == left) {
            return Ok(payload);
        }
    }
}
