//! Opening an FFmpeg decoder with the limits that foreign bytes call for.

use ffmpeg_next as ff;

use super::{DecodeError, SIDE_MAX};
use crate::frame::Codec;

/// An open decoder: one thread, pictures bounded, silent.
pub fn open(codec: Codec) -> Result<ff::decoder::Video, DecodeError> {
    let failed = |source| DecodeError::Open { codec: codec.name(), source };
    // What it would print is about one camera's broken bytes, and comes back as an error or a damaged picture anyway.
    ff::log::set_level(ff::log::Level::Quiet);
    let found = match codec {
        Codec::H264 => ff::decoder::find(ff::codec::Id::H264),
        Codec::H265 => ff::decoder::find(ff::codec::Id::HEVC),
        Codec::Mjpeg => ff::decoder::find(ff::codec::Id::MJPEG),
        Codec::Mpeg4 => ff::decoder::find(ff::codec::Id::MPEG4),
        Codec::Other(file) => ff::decoder::find_by_name(&file.name),
    };
    let mut context = ff::codec::Context::new_with_codec(found.ok_or(failed(ff::Error::DecoderNotFound))?);
    // Frame threads would add delay and cost more (FFmpeg: one picture of delay per thread); cores are shared by cameras.
    context.set_threading(ff::threading::Config { count: 1, ..Default::default() });
    // SAFETY: the context is ours and not opened yet. The header is allocated with FFmpeg's own allocator and padding,
    // as `avcodec_free_context` demands.
    unsafe {
        let raw = &mut *context.as_mut_ptr();
        // Checked by libavcodec before it allocates anything.
        raw.max_pixels = i64::from(SIDE_MAX) * i64::from(SIDE_MAX);
        if let Codec::Other(file) = codec {
            raw.width = file.width.min(SIDE_MAX) as i32;
            raw.height = file.height.min(SIDE_MAX) as i32;
            let padded = file.header.len() + ff::ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize;
            let header = ff::ffi::av_mallocz(padded).cast::<u8>();
            if !header.is_null() {
                std::ptr::copy_nonoverlapping(file.header.as_ptr(), header, file.header.len());
                raw.extradata = header;
                raw.extradata_size = file.header.len() as i32;
            }
        }
    }
    context.decoder().video().map_err(failed)
}
