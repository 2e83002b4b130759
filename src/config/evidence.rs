//! `[evidence]`: pictures and clips that prove an incident.

/// What evidence is kept and how; also `[evidence]` as the operator writes it.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Evidence {
    /// JPEG quality 1..100.
    #[schemars(range(min = 1, max = 100))]
    pub jpeg_quality: u8,
    /// Longest side of a snapshot in pixels; larger pictures are scaled down.
    #[schemars(range(min = 320, max = 7680))]
    pub snapshot_px_max: u32,
    /// Whether persons are made unrecognisable in pictures.
    pub redact_persons: bool,
    /// Seconds of video before the incident in its clip; 0 with `post_roll_s` 0: no clip.
    #[schemars(range(min = 0, max = 60))]
    pub pre_roll_s: f64,
    /// Seconds of video after it.
    #[schemars(range(min = 0, max = 60))]
    pub post_roll_s: f64,
    /// Days after which evidence files of closed incidents are deleted.
    #[schemars(range(min = 1, max = 3650))]
    pub retention_days: u32,
    /// Most bytes of evidence on disk; the oldest closed incidents give way first.
    #[schemars(range(min = 100_000_000))]
    pub bytes_max: u64,
}

impl Default for Evidence {
    fn default() -> Self {
        Self {
            jpeg_quality: 85,
            snapshot_px_max: 1280,
            redact_persons: true,
            pre_roll_s: 5.0,
            post_roll_s: 5.0,
            retention_days: 30,
            bytes_max: 10_000_000_000,
        }
    }
}
