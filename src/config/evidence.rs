//! `[evidence]`: pictures and clips that prove an incident.

/// What evidence is kept and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// JPEG quality 1..100.
    pub jpeg_quality: u8,
    /// Longest side of a snapshot in pixels; larger pictures are scaled down.
    pub snapshot_px_max: u32,
    /// Whether persons are made unrecognisable in pictures.
    pub redact_persons: bool,
    /// Seconds of video before the incident in its clip; 0 with `post_roll_s` 0: no clip.
    pub pre_roll_s: f64,
    /// Seconds of video after it.
    pub post_roll_s: f64,
    /// Days after which evidence files of closed incidents are deleted.
    pub retention_days: u32,
    /// Most bytes of evidence on disk; the oldest closed incidents give way first.
    pub bytes_max: u64,
}
