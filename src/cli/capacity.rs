//! How many cameras this machine carries, measured on what a camera really sends: for `check --online`, before a roll-out.

use crate::config::{Camera, Hours, Zone};
use crate::decode::{Decoder, KeyDecoder};
use crate::detect::Detector;
use crate::detect::foreground::Foreground;
use crate::detect::movers::Movers;
use crate::frame::{AccessUnit, Picture};
use crate::processor::thread_time;
use crate::sampler::budget::PROMISED;
use crate::scene::{Needs, Scene};

/// Receiving and keeping one access unit, in seconds of processor time: RTSP, depacketizing, ring; measured with
/// `./dev bench --only receive`, which gave 50 to 80 microseconds.
const RECEIVE_S: f64 = 60e-6;

/// Runs of what is measured; the first warms up.
const RUNS: u32 = 3;

/// What one camera takes while nothing is suspected: seconds of processor time per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Demand {
    /// All of it.
    pub cores: f64,
    /// Pictures a second that the camera sends.
    pub pictures_per_s: f64,
}

/// Measures a camera's demand on some seconds of its video that begin with a key picture; `None` if they cannot be decoded.
pub fn demand(camera: &Camera, units: &[AccessUnit], detector: &Detector) -> Option<Demand> {
    let (first, last) = (units.first()?, units.last()?);
    let span_s = last.captured.seconds_since(&first.captured);
    let pictures_per_s = if span_s > 0.0 { (units.len() - 1) as f64 / span_s } else { 25.0 };
    let needs = needs(camera);
    let mut cores = RECEIVE_S * pictures_per_s;
    if let Some(every_s) = needs.objects_every_s {
        let mut keys = KeyDecoder::new();
        let mut picture = None;
        let key_s = per_run(|| picture = keys.decode(first).ok());
        let picture = picture?;
        detector.detect(&picture).ok()?;
        let foreground_s = if needs.foreground { foreground_s(camera, &picture) } else { 0.0 };
        cores += (key_s + detector.cost().as_secs_f64() + foreground_s) / every_s;
    }
    if needs.full_rate {
        let mut decoder = Decoder::new(first.codec).ok()?;
        let mut movers = Movers::new(&[]);
        let began = thread_time();
        let mut pictures = 0;
        for unit in units {
            for picture in decoder.decode(unit).ok()? {
                movers.observe(&picture);
                pictures += 1;
            }
        }
        let each_s = thread_time().saturating_sub(began).as_secs_f64() / f64::from(pictures.max(1));
        cores += each_s * pictures_per_s;
    }
    Some(Demand { cores, pictures_per_s })
}

/// What the camera's zones want when all of them are within their hours.
fn needs(camera: &Camera) -> Needs {
    let zones = camera.zones.iter().cloned().map(|zone| Zone { hours: Hours::default(), ..zone });
    let zones: Vec<Zone> = zones.collect();
    Scene::new(&zones).needs(jiff::Zoned::now().datetime())
}

fn foreground_s(camera: &Camera, picture: &Picture) -> f64 {
    let zones: Vec<_> = camera.zones.iter().map(|zone| (zone.id.clone(), zone.polygon.clone())).collect();
    let mut foreground = Foreground::new(&zones);
    per_run(|| drop(foreground.observe(picture, &[])))
}

/// Processor time of the fastest of some runs, in seconds.
fn per_run(mut run: impl FnMut()) -> f64 {
    let times = (0..RUNS).map(|_| {
        let began = thread_time();
        run();
        thread_time().saturating_sub(began).as_secs_f64()
    });
    times.fold(f64::INFINITY, f64::min)
}

/// The line for the operator: what these cameras take, and how many of their kind the machine carries.
pub fn say(demands: &[Demand]) -> Option<String> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64 * PROMISED;
    let taken: f64 = demands.iter().map(|demand| demand.cores).sum();
    if demands.is_empty() || taken <= 0.0 {
        return None;
    }
    let about = cores / (taken / demands.len() as f64);
    let short = if taken > cores {
        "; too many: quiet ones will be looked at less often 超出能力, 空闲摄像机将降低分析频率"
    } else {
        ""
    };
    Some(format!(
        "容量 capacity: {} cameras take {taken:.2} of {cores:.1} cores while nothing happens; this box carries about \
         {about:.0} of their kind 本机约可承载 {about:.0} 路同类摄像机{short}",
        demands.len(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_how_many_fit() {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64 * PROMISED;
        let demand = |cores| Demand { cores, pictures_per_s: 25.0 };
        assert_eq!(say(&[]), None);
        let line = say(&[demand(cores / 200.0), demand(cores / 50.0)]).unwrap();
        assert!(line.contains("about 80 of their kind") && !line.contains("too many"), "{line}");
        assert!(say(&[demand(cores), demand(cores)]).unwrap().contains("too many"));
    }
}
