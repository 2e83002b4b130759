//! FFmpeg's bitstream filters, from a container's form of a codec to ours.

use std::ptr;

use ffmpeg_next as ff;
use ffmpeg_next::packet::Mut as _;

use crate::frame::Codec;

/// FFmpeg's bitstream filters between the container's form of a codec and ours.
pub struct Filter(*mut ff::ffi::AVBSFContext);

// SAFETY: the context is owned by this value alone and FFmpeg ties it to no thread.
unsafe impl Send for Filter {}

impl Filter {
    /// The filters that a codec needs; `None` for codecs that are fine as they are.
    pub fn new(
        codec: Codec,
        parameters: &ff::codec::Parameters,
        time_base: ff::Rational,
    ) -> Result<Option<Self>, ff::Error> {
        let names = match codec {
            Codec::H264 => c"h264_mp4toannexb",
            Codec::H265 => c"hevc_mp4toannexb",
            // Old AVI files pack a B picture into the packet before it; MP4 keeps the headers out of band.
            Codec::Mpeg4 => c"mpeg4_unpack_bframes,dump_extra",
            Codec::Mjpeg | Codec::Other(_) => return Ok(None),
        };
        let mut filter = Self(ptr::null_mut());
        let check = |code: i32| if code < 0 { Err(ff::Error::from(code)) } else { Ok(()) };
        // SAFETY: on success the first call stores a context that `filter` owns from then on; the others write into it.
        unsafe {
            check(ff::ffi::av_bsf_list_parse_str(names.as_ptr(), &raw mut filter.0))?;
            check(ff::ffi::avcodec_parameters_copy((*filter.0).par_in, parameters.as_ptr()))?;
            (*filter.0).time_base_in = time_base.into();
            check(ff::ffi::av_bsf_init(filter.0))?;
        }
        Ok(Some(filter))
    }

    /// Puts a packet in, or `None` at the end of the file.
    pub fn send(&mut self, packet: Option<ff::Packet>) -> Result<(), ff::Error> {
        // SAFETY: the filter takes over the packet's contents and leaves it blank, or leaves it untouched on error.
        let code = unsafe {
            match packet {
                Some(mut packet) => ff::ffi::av_bsf_send_packet(self.0, packet.as_mut_ptr()),
                None => ff::ffi::av_bsf_send_packet(self.0, ptr::null_mut()),
            }
        };
        if code < 0 { Err(ff::Error::from(code)) } else { Ok(()) }
    }

    /// Takes a packet out; `Err(Eof)` at the end, another error if it wants more first.
    pub fn receive(&mut self) -> Result<ff::Packet, ff::Error> {
        let mut packet = ff::Packet::empty();
        // SAFETY: `packet` is blank, as the call demands, and owns what it receives.
        match unsafe { ff::ffi::av_bsf_receive_packet(self.0, packet.as_mut_ptr()) } {
            0 => Ok(packet),
            code => Err(ff::Error::from(code)),
        }
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        // SAFETY: `self.0` is null or the context that this value owns.
        unsafe { ff::ffi::av_bsf_free(&raw mut self.0) }
    }
}
