//! When a zone is watched: `hours` and `not_hours`, such as `mon-fri 07:00-09:30` or `周一至周五 22:00-06:00`.

use std::collections::BTreeMap;

use super::item::Item;
use super::names::half_width;

/// When a zone is watched: every day or on some weekdays, in one or several spans of local time.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Hours {
    /// Spans `(weekday bit mask, Monday = bit 0; from minute of day; to minute of day)`; `to < from` runs over midnight. Empty: always.
    pub spans: Vec<(u8, u16, u16)>,
}

impl Hours {
    /// Whether the zone is watched at this local time.
    pub fn contains(&self, local: &jiff::civil::DateTime) -> bool {
        let minute = local.hour() as u16 * 60 + local.minute() as u16;
        let today = 1u8 << local.weekday().to_monday_zero_offset();
        let yesterday = 1u8 << ((local.weekday().to_monday_zero_offset() + 6) % 7);
        self.spans.is_empty()
            || self.spans.iter().any(|&(days, from, to)| {
                if from <= to {
                    days & today != 0 && (from..to).contains(&minute)
                } else {
                    (days & today != 0 && minute >= from) || (days & yesterday != 0 && minute < to)
                }
            })
    }
}

const MINUTES_OF_DAY: u16 = 24 * 60;
const EVERY_DAY: u8 = 0b111_1111;

/// Reads both keys; `None` if something was wrong, which is noted in the item.
pub(super) fn read_hours(
    item: &mut Item,
    hours: Option<&[String]>,
    not_hours: Option<&[String]>,
) -> Option<Hours> {
    let watched = read_list(item, "/hours", hours);
    let unwatched = read_list(item, "/not_hours", not_hours);
    let (watched, unwatched) = (watched?, unwatched?);
    if unwatched.spans.is_empty() {
        return Some(watched);
    }
    let left = watched.without(&unwatched);
    if left.is_none() {
        item.error("/not_hours", "these hours leave no time at which the zone is watched", None);
    }
    left
}

fn read_list(item: &mut Item, pointer: &str, list: Option<&[String]>) -> Option<Hours> {
    let mut spans = Vec::new();
    let mut sound = true;
    for (index, text) in list.into_iter().flatten().enumerate() {
        match read_spans(text) {
            Ok(more) => spans.extend(more),
            Err(why) => {
                let hint =
                    "as in \"mon-fri 07:00-09:30\", \"22:00-06:00\", \"周六,周日 08:00-20:00\"".to_owned();
                item.error(&format!("{pointer}/{index}"), why, hint);
                sound = false;
            }
        }
    }
    if list.is_some_and(<[String]>::is_empty) {
        item.error(pointer, "this list of hours is empty", "leave the key out for always".to_owned());
        sound = false;
    }
    sound.then_some(Hours { spans })
}

/// One entry: days (optional), then spans of time (optional), in English or Chinese.
fn read_spans(text: &str) -> Result<Vec<(u8, u16, u16)>, String> {
    let mut plain = half_width(text).to_lowercase();
    for (written, meant) in
        [("至", "-"), ("到", "-"), ("~", "-"), ("–", "-"), ("—", "-"), ("、", ","), ("星期", "周")]
    {
        plain = plain.replace(written, meant);
    }
    if plain.is_empty() {
        return Err("this text names neither days nor times".to_owned());
    }
    let split = plain.find(|c: char| c.is_ascii_digit()).unwrap_or(plain.len());
    let (days, times) = plain.split_at(split);
    let days = read_days(days.trim().trim_end_matches([',', ':']))?;
    if times.trim().is_empty() {
        return Ok(vec![(days, 0, MINUTES_OF_DAY)]);
    }
    let read_span = |span: &str| {
        let (from, to) =
            span.split_once('-').ok_or_else(|| format!("`{}` is not a span of time", span.trim()))?;
        let (from, to) = (read_minute(from.trim())?, read_minute(to.trim())?);
        if from == to || from == MINUTES_OF_DAY {
            return Err(format!("`{}` spans no time; a whole day is 00:00-24:00", span.trim()));
        }
        Ok((days, from, to))
    };
    times.split(',').map(read_span).collect()
}

fn read_minute(text: &str) -> Result<u16, String> {
    let wrong = || format!("`{text}` is not a time of day from 00:00 to 24:00");
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let number = |digits: &str| {
        let sound = (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if sound { digits.parse::<u16>().map_err(|_| wrong()) } else { Err(wrong()) }
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let of_day = hour * 60 + minute;
    if minute < 60 && of_day <= MINUTES_OF_DAY { Ok(of_day) } else { Err(wrong()) }
}

fn read_days(text: &str) -> Result<u8, String> {
    match text {
        "" | "daily" | "every day" | "每天" | "每日" | "全天" => return Ok(EVERY_DAY),
        _ => {}
    }
    let mut days = 0;
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        days |= match part {
            "weekdays" | "workdays" | "工作日" => 0b001_1111,
            "weekend" | "weekends" | "周末" => 0b110_0000,
            _ => match part.split_once('-') {
                None => 1 << read_day(part)?,
                Some((first, last)) => {
                    let (first, last) = (read_day(first.trim())?, read_day(last.trim())?);
                    // sat-mon runs over the end of the week.
                    let count = (last + 7 - first) % 7 + 1;
                    (0..count).fold(0, |days, step| days | 1 << ((first + step) % 7))
                }
            },
        };
    }
    if days == 0 { Err(format!("`{text}` names no day")) } else { Ok(days) }
}

/// Monday is 0.
fn read_day(text: &str) -> Result<u8, String> {
    const ENGLISH: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    const CHINESE: [&str; 8] = ["一", "二", "三", "四", "五", "六", "日", "天"];
    let english = ENGLISH.iter().position(|name| text.len() >= 3 && name.starts_with(text));
    let short = text.strip_prefix('周').unwrap_or(text);
    let chinese = CHINESE.iter().position(|name| *name == short).map(|day| day.min(6));
    english.or(chinese).map(|day| day as u8).ok_or_else(|| format!("`{text}` is not a day of the week"))
}

impl Hours {
    /// These hours without others; `None` if no minute of the week is left.
    fn without(&self, others: &Self) -> Option<Self> {
        // Minute by minute through one week; 2000-01-03 is a Monday.
        let watched = |day: u16, minute: u16| {
            let (hour, minute) = ((minute / 60) as i8, (minute % 60) as i8);
            let local = jiff::civil::date(2000, 1, 3 + day as i8).at(hour, minute, 0, 0);
            self.contains(&local) && !others.contains(&local)
        };
        let mut days_of: BTreeMap<(u16, u16), u8> = BTreeMap::new();
        for day in 0..7 {
            let mut from = None;
            for minute in 0..=MINUTES_OF_DAY {
                let now = minute < MINUTES_OF_DAY && watched(day, minute);
                match (now, from) {
                    (true, None) => from = Some(minute),
                    (false, Some(start)) => {
                        *days_of.entry((start, minute)).or_default() |= 1 << day;
                        from = None;
                    }
                    _ => {}
                }
            }
        }
        let spans: Vec<_> = days_of.into_iter().map(|((from, to), days)| (days, from, to)).collect();
        (!spans.is_empty()).then_some(Self { spans })
    }
}
