//! Model cards: the TOML file beside an `.onnx` file that says what its tensors mean.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::family::Family;

/// Order of the colour channels that a model was trained with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red: OpenCV's order.
    Bgr,
}

/// How a picture is fitted into a model's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// Aspect ratio kept, bars of equal width on both sides.
    Letterbox,
    /// Aspect ratio kept, bars at the right and the bottom only.
    LetterboxTopLeft,
    /// Stretched to fill the input, whatever the aspect ratio.
    Stretch,
}

/// What a model wants as input: one picture, planar (NCHW), `(pixel * scale - mean) / std` with pixels 0..255.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Order of the channels.
    pub colour: Colour,
    /// How pictures are fitted.
    pub resize: Resize,
    /// Grey level of the bars, 0..255, before scaling.
    #[serde(default = "grey")]
    pub pad: f32,
    /// Factor on pixels, such as 1/255; applied before mean and std.
    pub scale: f32,
    /// Mean per channel, in the model's channel order and in scaled units.
    #[serde(default)]
    pub mean: [f32; 3],
    /// Standard deviation per channel, in the model's channel order and in scaled units.
    #[serde(default = "ones")]
    pub std: [f32; 3],
}

fn grey() -> f32 {
    114.0
}

fn ones() -> [f32; 3] {
    [1.0; 3]
}

/// Largest side of an input: 4 Ki pixels squared are 200 MB of tensor, more than any edge box should spend.
pub const INPUT_SIDE_MAX: usize = 4096;

impl InputSpec {
    /// What `family`'s authors trained with, for a card-less model.
    pub fn usual(family: Family, width: usize, height: usize) -> Self {
        use Colour::{Bgr, Rgb};
        use Resize::{Letterbox, LetterboxTopLeft, Stretch};
        let (colour, resize, scale, mean, std) = match family {
            Family::Yolov5 | Family::Yolov8 | Family::EndToEnd => {
                (Rgb, Letterbox, 1.0 / 255.0, [0.0; 3], [1.0; 3])
            }
            Family::Yolox => (Bgr, LetterboxTopLeft, 1.0, [0.0; 3], [1.0; 3]),
            Family::Nanodet => (Bgr, Letterbox, 1.0, [103.53, 116.28, 123.675], [57.375, 57.12, 58.395]),
            Family::Picodet => (Rgb, Stretch, 1.0, [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]),
            Family::Fastestdet => (Bgr, Stretch, 1.0 / 255.0, [0.0; 3], [1.0; 3]),
            Family::Ssd => (Rgb, Stretch, 1.0, [127.0; 3], [128.0; 3]),
            Family::Rtdetr => (Rgb, Stretch, 1.0 / 255.0, [0.0; 3], [1.0; 3]),
        };
        Self { width, height, colour, resize, pad: grey(), scale, mean, std }
    }

    /// Says what is out of range, if anything.
    fn trouble(&self) -> Option<String> {
        let side_ok = |n: usize| (8..=INPUT_SIDE_MAX).contains(&n);
        if !side_ok(self.width) || !side_ok(self.height) {
            return Some(format!("input size {}x{} is outside 8..{INPUT_SIDE_MAX}", self.width, self.height));
        }
        let numbers = [self.scale, self.pad].into_iter().chain(self.mean).chain(self.std);
        if numbers.clone().any(|n| !n.is_finite()) || self.scale <= 0.0 || self.std.contains(&0.0) {
            return Some(
                "`scale`, `pad`, `mean` and `std` must be finite, `scale` above 0, `std` not 0".into(),
            );
        }
        None
    }
}

/// A model card: what an `.onnx` file is, how to feed it and how to read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The model's name; events carry it.
    pub name: String,
    /// The `.onnx` file that the card describes, beside the card.
    pub file: String,
    /// SHA-256 of that file, lower-case hex.
    pub sha256: String,
    /// Layout of its outputs.
    pub family: Family,
    /// Names of its classes, in the order of its outputs.
    pub classes: Vec<String>,
    /// Licence of the weights, as an SPDX expression where there is one.
    pub licence: String,
    /// What it wants as input.
    pub input: InputSpec,
    /// Anything else worth knowing: where it comes from, how it was measured.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub about: toml::Table,
}

/// Why a model card cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CardError {
    /// It is there but cannot be read.
    #[error("cannot read the model card `{card}`: {reason}")]
    Unreadable {
        /// The card.
        card: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// It is not the TOML that a card should be.
    #[error("model card `{card}`: {reason}")]
    Wrong {
        /// The card.
        card: PathBuf,
        /// Line, key and trouble.
        reason: String,
    },
    /// The card was written for other bytes.
    #[error(
        "`{file}` is not the file that `{card}` describes: its sha256 is {found}, the card says {expected}"
    )]
    OtherFile {
        /// The `.onnx` file.
        file: PathBuf,
        /// The card.
        card: PathBuf,
        /// Hash of the file.
        found: String,
        /// Hash in the card.
        expected: String,
    },
}

/// Cards longer than this are no cards: the longest class list in use (Objects365) takes 6 KB.
const CARD_BYTES_MAX: u64 = 256 * 1024;

/// The card beside `model` and its text; `None` if there is none.
pub(super) fn text_beside(model: &Path) -> Result<Option<(PathBuf, String)>, CardError> {
    let card = Card::path_for(model);
    let unreadable =
        |e: &dyn std::fmt::Display| CardError::Unreadable { card: card.clone(), reason: e.to_string() };
    match std::fs::metadata(&card) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(unreadable(&e)),
        Ok(meta) if meta.len() > CARD_BYTES_MAX => {
            return Err(unreadable(&format!("{} bytes are too many for a card", meta.len())));
        }
        Ok(_) => {}
    }
    let text = std::fs::read_to_string(&card).map_err(|e| unreadable(&e))?;
    Ok(Some((card, text)))
}

impl Card {
    /// Where the card of `model` lies: the same path with `.toml`.
    pub fn path_for(model: &Path) -> PathBuf {
        model.with_extension("toml")
    }

    /// Reads the card beside `model`; `None` if there is none.
    pub fn beside(model: &Path) -> Result<Option<Self>, CardError> {
        let read = |(card, text): (PathBuf, String)| {
            Self::parse(&text).map_err(|reason| CardError::Wrong { card, reason })
        };
        text_beside(model)?.map(read).transpose()
    }

    /// Reads a card from TOML and checks its values; the error says where and what.
    pub fn parse(text: &str) -> Result<Self, String> {
        let card: Self = toml::from_str(text).map_err(|e| e.to_string().trim_end().to_owned())?;
        if let Some(trouble) = card.input.trouble() {
            return Err(trouble);
        }
        if card.classes.is_empty() {
            return Err("`classes` names no class".into());
        }
        if card.sha256.len() != 64 || !card.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err("`sha256` is not 64 hexadecimal digits".into());
        }
        Ok(card)
    }

    /// Checks that the card belongs to these bytes.
    pub fn check_hash(&self, model: &Path, found: &str) -> Result<(), CardError> {
        if self.sha256.eq_ignore_ascii_case(found) {
            return Ok(());
        }
        Err(CardError::OtherFile {
            file: model.to_owned(),
            card: Self::path_for(model),
            found: found.to_owned(),
            expected: self.sha256.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = r#"
name = "street-v2"
file = "street-v2.onnx"
sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
family = "yolov8"
classes = ["person", "car"]
licence = "Apache-2.0"

[input]
width = 512
height = 288
colour = "rgb"
resize = "letterbox_top_left"
scale = 0.00392

[about]
trained_on = "rendered pictures"
ap50 = { person = 0.6 }
"#;

    #[test]
    fn a_card_with_defaults_and_anything_in_about() {
        let card = Card::parse(CARD).unwrap();
        assert_eq!(card.family, Family::Yolov8);
        assert_eq!(card.input.resize, Resize::LetterboxTopLeft);
        assert_eq!((card.input.pad, card.input.std), (114.0, [1.0; 3]));
        let again = Card::parse(&toml::to_string(&card).unwrap()).unwrap();
        assert_eq!(again, card);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |from: &str, to: &str, wants: &str| {
            assert!(CARD.contains(from));
            let error = Card::parse(&CARD.replace(from, to)).unwrap_err();
            assert!(error.contains(wants), "`{to}` gave: {error}");
        };
        check("licence", "license", "license");
        check("scale = 0.00392", "scale = 0.00392\nscala = 1", "scala");
        check("\"yolov8\"", "\"yolov99\"", "yolov99");
        check("\"rgb\"", "\"grb\"", "grb");
        check("width = 512", "width = 0", "0x288");
        check("scale = 0.00392", "scale = nan", "finite");
        check("[\"person\", \"car\"]", "[]", "no class");
        check("0123456789abcdef\"", "\"", "64");
    }

    #[test]
    fn other_bytes_are_refused() {
        let card = Card::parse(CARD).unwrap();
        let model = Path::new("street-v2.onnx");
        assert!(card.check_hash(model, &card.sha256.to_uppercase()).is_ok());
        let error = card.check_hash(model, "ff").unwrap_err().to_string();
        assert!(error.contains("street-v2.toml") && error.contains("ff"), "{error}");
    }
}
