//! [`Check`]: what can be wrong with a camera, and what it is called; [`Status`]: how a check stands.

use serde::{Deserialize, Serialize};

use crate::config::Text;

/// One thing that is looked at.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// No connection, or nothing decodable comes.
    Offline,
    /// The camera refuses the user name or password.
    LoginFailed,
    /// Far fewer pictures come than usual.
    LowFrameRate,
    /// The camera's clock differs from ours.
    ClockDrift,
    /// A recorder shows one colour because it gets no video itself.
    SignalLost,
    /// Nothing but black.
    Black,
    /// Noise instead of a picture (雪花).
    Snow,
    /// The same picture over and over.
    Frozen,
    /// Too dark to see anything.
    TooDark,
    /// Most of the picture is white.
    TooBright,
    /// Everything is of nearly the same grey.
    LowContrast,
    /// Everything has the same tint.
    ColourCast,
    /// Out of focus, or a dirty lens.
    Blurred,
    /// Bars across or down the whole picture.
    Stripes,
    /// Something is in front of the lens.
    Covered,
    /// The camera is turned at something else than before.
    Moved,
}

/// How a check stands; published as 0, 1, 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(into = "u8", try_from = "u8")]
pub enum Status {
    /// Nothing is known yet.
    #[default]
    Untested,
    /// Nothing wrong.
    Normal,
    /// Wrong, for long enough to say so.
    Abnormal,
}

impl From<Status> for u8 {
    fn from(status: Status) -> u8 {
        status as u8
    }
}

impl TryFrom<u8> for Status {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            0 => Ok(Self::Untested),
            1 => Ok(Self::Normal),
            2 => Ok(Self::Abnormal),
            _ => Err(format!("a check stands at 0, 1 or 2, not {number}")),
        }
    }
}

/// How long a check must look wrong before it is abnormal, and right before it is normal again: so many looks in a row,
/// and so many seconds from the first to the last of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Patience {
    /// Looks that go wrong.
    pub looks_on: u32,
    /// Seconds that they take.
    pub seconds_on: f64,
    /// Looks that are right again.
    pub looks_off: u32,
    /// Seconds that they take.
    pub seconds_off: f64,
}

/// What goes with a check: Chinese, English, and what its value is, with `{}` for the number.
struct Row(Check, [&'static str; 2], [&'static str; 2], Patience);

const fn patience(looks_on: u32, seconds_on: f64, looks_off: u32, seconds_off: f64) -> Patience {
    Patience { looks_on, seconds_on, looks_off, seconds_off }
}

/// Patience grows with what happens by itself: a lorry stands before the lens for a while, exposure overshoots, a lens hunts
/// for focus; no picture is black or another one by chance.
const ROWS: [Row; 16] = [
    Row(
        Check::Offline,
        ["离线", "offline"],
        ["已 {} 秒无视频", "no video for {} s"],
        patience(2, 30.0, 1, 0.0),
    ),
    Row(
        Check::LoginFailed,
        ["登录失败", "login failed"],
        ["用户名或密码错误", "wrong user name or password"],
        patience(1, 0.0, 1, 0.0),
    ),
    Row(
        Check::LowFrameRate,
        ["帧率过低", "low frame rate"],
        ["{} 帧/秒", "{} pictures/s"],
        patience(3, 20.0, 2, 10.0),
    ),
    Row(
        Check::ClockDrift,
        ["时钟偏差", "clock drift"],
        ["相差 {} 秒", "{} s apart"],
        patience(3, 20.0, 2, 10.0),
    ),
    Row(
        Check::SignalLost,
        ["视频信号丢失", "signal lost"],
        ["单一颜色占画面 {}%", "one colour fills {} % of the picture"],
        patience(3, 4.0, 2, 2.0),
    ),
    Row(Check::Black, ["黑屏", "black picture"], ["亮度 {}/255", "luma {} of 255"], patience(3, 4.0, 2, 2.0)),
    Row(
        Check::Snow,
        ["雪花噪声", "snow noise"],
        ["噪声 {} 灰度级", "noise of {} grey levels"],
        patience(3, 4.0, 2, 2.0),
    ),
    Row(
        Check::Frozen,
        ["画面冻结", "frozen picture"],
        ["已 {} 秒不变", "the same for {} s"],
        patience(3, 10.0, 1, 0.0),
    ),
    Row(
        Check::TooDark,
        ["画面过暗", "too dark"],
        ["亮度 {}/255", "luma {} of 255"],
        patience(5, 20.0, 3, 6.0),
    ),
    Row(
        Check::TooBright,
        ["画面过亮", "too bright"],
        ["{}% 画面过曝", "{} % of the picture is white"],
        patience(5, 20.0, 3, 6.0),
    ),
    Row(
        Check::LowContrast,
        ["对比度过低", "low contrast"],
        ["明暗相差 {} 灰度级", "{} grey levels from dark to bright"],
        patience(5, 20.0, 3, 6.0),
    ),
    Row(
        Check::ColourCast,
        ["偏色", "colour cast"],
        ["整体偏色 {} 级", "all is tinted by {} levels"],
        patience(5, 20.0, 3, 6.0),
    ),
    Row(
        Check::Blurred,
        ["画面模糊", "blurred picture"],
        ["清晰度 {}%", "sharpness {} %"],
        patience(5, 20.0, 3, 6.0),
    ),
    Row(
        Check::Stripes,
        ["条纹干扰", "stripes"],
        ["条纹 {} 灰度级", "stripes of {} grey levels"],
        patience(5, 20.0, 3, 6.0),
    ),
    Row(
        Check::Covered,
        ["镜头遮挡", "covered lens"],
        ["遮挡 {}%", "{} % is covered"],
        patience(5, 20.0, 3, 6.0),
    ),
    Row(
        Check::Moved,
        ["画面移位", "camera moved"],
        ["仅 {}% 与原画面相符", "only {} % is as it was"],
        patience(3, 6.0, 2, 2.0),
    ),
];

impl Check {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Check; 16] = {
        let mut all = [Check::Offline; 16];
        let mut i = 0;
        while i < all.len() {
            all[i] = ROWS[i].0;
            i += 1;
        }
        all
    };

    fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    /// Its name in messages, as serde spells it.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; Check::ALL.len()] = [
            "offline",
            "login_failed",
            "low_frame_rate",
            "clock_drift",
            "signal_lost",
            "black",
            "snow",
            "frozen",
            "too_dark",
            "too_bright",
            "low_contrast",
            "colour_cast",
            "blurred",
            "stripes",
            "covered",
            "moved",
        ];
        NAMES[self as usize]
    }

    /// What it is called.
    pub fn title(self) -> Text {
        let [zh, en] = self.row().1;
        Text { zh: zh.into(), en: en.into() }
    }

    /// Its value, for people.
    pub fn reason(self, value: f32) -> Text {
        let number = if value.abs() < 10.0 && value.fract() != 0.0 {
            format!("{value:.1}")
        } else {
            format!("{value:.0}")
        };
        let [zh, en] = self.row().2.map(|text| text.replace("{}", &number));
        Text { zh, en }
    }

    /// How long it must go on.
    pub fn patience(self) -> Patience {
        self.row().3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_checks() {
        for (i, check) in Check::ALL.into_iter().enumerate() {
            assert_eq!(check as usize, i);
            assert_eq!(serde_json::to_string(&check).unwrap(), format!("{:?}", check.name()));
        }
    }

    #[test]
    fn a_status_is_a_number() {
        for (number, status) in [(0, Status::Untested), (1, Status::Normal), (2, Status::Abnormal)] {
            assert_eq!(serde_json::to_string(&status).unwrap(), number.to_string());
            assert_eq!(serde_json::from_str::<Status>(&number.to_string()).unwrap(), status);
        }
        assert!(serde_json::from_str::<Status>("3").is_err());
    }

    #[test]
    fn reasons_carry_the_value() {
        assert_eq!(Check::Moved.reason(7.0).zh, "仅 7% 与原画面相符");
        assert_eq!(Check::LowFrameRate.reason(1.25).en, "1.2 pictures/s");
    }
}
