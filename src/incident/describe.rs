//! The sentence for the person who will go, filled from the scenario's template in both languages.

use crate::config::Text;
use crate::detection::Class;
use crate::event::Recurrence;

/// Shorter times without looks are not worth a word, in seconds.
const UNSEEN_SAID_S: f64 = 1.0;

/// What a description can mention.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    /// Camera name, `{camera}`.
    pub camera: &'a str,
    /// Zone name, `{zone}`.
    pub zone: &'a str,
    /// Seconds, `{duration}`.
    pub dwell_s: f64,
    /// How many of these nobody looked; said behind the sentence.
    pub unseen_s: f64,
    /// 0..1, `{coverage}`.
    pub coverage: f32,
    /// What is there, `{classes}`.
    pub classes: &'a [Class],
    /// Floor and its error, `{floor}`.
    pub floor: Option<(u32, u32)>,
    /// That it is not the first; said last.
    pub recurrence: Option<Recurrence>,
}

/// Fills `{camera}`, `{zone}`, `{duration}`, `{coverage}`, `{classes}` and `{floor}`; anything else stays as it is.
///
/// Filled-in names are not searched again, so a camera called `{zone}` stays that.
pub(super) fn describe(template: &Text, facts: Facts<'_>) -> Text {
    let fill = |text: &str, chinese: bool| {
        let mut out = String::with_capacity(text.len() + 32);
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let end = rest.find('}').map_or(rest.len(), |end| end + 1);
            match &rest[..end] {
                "{camera}" => out.push_str(facts.camera),
                "{zone}" => out.push_str(facts.zone),
                "{duration}" => out.push_str(&duration(facts.dwell_s, chinese)),
                "{coverage}" => {
                    let percent = format!("{:.0}%", facts.coverage * 100.0);
                    out.push_str(&percent);
                }
                "{classes}" => out.push_str(&classes(facts.classes, chinese)),
                "{floor}" => out.push_str(&floor(facts.floor, chinese)),
                _ => {
                    out.push('{');
                    rest = &rest[1..];
                    continue;
                }
            }
            rest = &rest[end..];
        }
        out.push_str(rest);
        if facts.unseen_s >= UNSEEN_SAID_S {
            out.push_str(&unseen(facts.unseen_s, chinese));
        }
        if let Some(recurrence) = facts.recurrence {
            out.push_str(&again(recurrence, chinese));
        }
        out
    };
    Text { zh: fill(&template.zh, true), en: fill(&template.en, false) }
}

/// That for so long nobody looked, as a sentence of its own.
fn unseen(seconds: f64, chinese: bool) -> String {
    let duration = duration(seconds, chinese);
    if chinese {
        format!("（其中 {duration} 未查看，前后为同一物体。）")
    } else {
        format!(" (Nobody looked for {duration} of that time; the same object was there before and after.)")
    }
}

/// That there were others before it, as a sentence of its own.
fn again(Recurrence { count, days }: Recurrence, chinese: bool) -> String {
    if chinese {
        format!("{days} 天内第 {count} 次。")
    } else {
        format!(" {} time in {days} days.", ordinal(count))
    }
}

/// `1st`, `2nd`, `3rd`, `4th`, `11th`, `21st`.
fn ordinal(n: u32) -> String {
    let ending = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}

/// `5 分 20 秒` or `5 min 20 s`; from an hour on without seconds, from a day on without minutes.
pub(super) fn duration(seconds: f64, chinese: bool) -> String {
    let total = seconds.max(0.0).round() as u64;
    let (days, hours, minutes, seconds) = (total / 86_400, total / 3_600 % 24, total / 60 % 60, total % 60);
    let units = if chinese { ["天", "小时", "分", "秒"] } else { ["d", "h", "min", "s"] };
    let parts: Vec<(u64, &str)> = match (days, hours, minutes) {
        (1.., _, _) => vec![(days, units[0]), (hours, units[1])],
        (_, 1.., _) => vec![(hours, units[1]), (minutes, units[2])],
        (_, _, 1..) => vec![(minutes, units[2]), (seconds, units[3])],
        _ => vec![(seconds, units[3])],
    };
    let said: Vec<_> = parts
        .iter()
        .enumerate()
        .filter(|(i, (n, _))| *i == 0 || *n > 0)
        .map(|(_, (n, unit))| format!("{n} {unit}"))
        .collect();
    said.join(" ")
}

fn classes(classes: &[Class], chinese: bool) -> String {
    let mut names: Vec<&str> = Vec::new();
    for class in classes {
        let (zh, en) = name(class.as_str());
        let name = if chinese { zh } else { en };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    // More than three names help nobody on the way.
    let more = names.len() > 3;
    names.truncate(3);
    match (names.is_empty(), more, chinese) {
        (true, _, true) => "不明物体".into(),
        (true, _, false) => "an unknown object".into(),
        (_, true, true) => format!("{}等", names.join("、")),
        (_, true, false) => format!("{} and more", names.join(", ")),
        (_, false, true) => names.join("、"),
        (_, false, false) => names.join(", "),
    }
}

fn floor(floor: Option<(u32, u32)>, chinese: bool) -> String {
    match (floor, chinese) {
        (None, true) => "未知".into(),
        (None, false) => "unknown".into(),
        (Some((floor, 0)), true) => format!("{floor} 层"),
        (Some((floor, 0)), false) => format!("{floor}"),
        (Some((floor, error)), true) => format!("{floor} 层（±{error}）"),
        (Some((floor, error)), false) => format!("{floor} (±{error})"),
    }
}

/// Chinese and English name of a class: the COCO classes that stand in streets, and those of street models; any other
/// class is called what its model calls it.
fn name(class: &str) -> (&str, &str) {
    match class {
        "unknown" => ("不明物体", "an unknown object"),
        "person" => ("行人", "person"),
        "bicycle" => ("自行车", "bicycle"),
        "car" => ("小汽车", "car"),
        "motorcycle" => ("摩托车", "motorcycle"),
        "ebike" | "e-bike" => ("电动自行车", "e-bike"),
        "bus" => ("公交车", "bus"),
        "truck" => ("货车", "truck"),
        "van" => ("面包车", "van"),
        "tricycle" => ("三轮车", "tricycle"),
        "fire_engine" => ("消防车", "fire engine"),
        "stall" => ("摊位", "stall"),
        "cart" => ("推车", "cart"),
        "umbrella" => ("遮阳伞", "umbrella"),
        "goods" => ("货物", "goods"),
        "table" | "dining table" => ("桌子", "table"),
        "chair" => ("椅子", "chair"),
        "bench" => ("长椅", "bench"),
        "couch" => ("沙发", "couch"),
        "potted plant" => ("盆栽", "potted plant"),
        "carton" | "box" => ("纸箱", "carton"),
        "bag" => ("袋子", "bag"),
        "backpack" => ("背包", "backpack"),
        "handbag" => ("手提包", "handbag"),
        "suitcase" => ("行李箱", "suitcase"),
        "skip" | "bin" => ("垃圾箱", "bin"),
        "dog" => ("狗", "dog"),
        "thrown_object" | "thrown" => ("抛落物", "thrown object"),
        other => (other, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_naturally() {
        for (seconds, zh, en) in [
            (-1.0, "0 秒", "0 s"),
            (f64::NAN, "0 秒", "0 s"),
            (59.4, "59 秒", "59 s"),
            (60.0, "1 分", "1 min"),
            (320.0, "5 分 20 秒", "5 min 20 s"),
            (3_600.0, "1 小时", "1 h"),
            (7_505.0, "2 小时 5 分", "2 h 5 min"),
            (90_000.0, "1 天 1 小时", "1 d 1 h"),
        ] {
            assert_eq!(duration(seconds, true), zh);
            assert_eq!(duration(seconds, false), en);
        }
    }

    #[test]
    fn ordinals_read_naturally() {
        let numbers = [1, 2, 3, 4, 11, 12, 13, 21, 102, 111, 113, 1003];
        let want = "1st 2nd 3rd 4th 11th 12th 13th 21st 102nd 111th 113th 1003rd";
        assert_eq!(numbers.map(ordinal).join(" "), want);
    }

    #[test]
    fn names_are_filled_once_and_unknown_braces_stay() {
        let template = Text { zh: "{camera}{x}{zone}{".into(), en: "{camera} {{zone}} {classes".into() };
        let facts = Facts {
            camera: "{zone}",
            zone: "B",
            dwell_s: 0.0,
            unseen_s: 0.0,
            coverage: 0.0,
            classes: &[],
            floor: None,
            recurrence: None,
        };
        let text = describe(&template, facts);
        assert_eq!(text.zh, "{zone}{x}B{");
        assert_eq!(text.en, "{zone} {B} {classes");
    }
}
