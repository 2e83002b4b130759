//! Cameras are lost and come back: how soon the platform knows.

use gridwatch::frame::CameraState;
use gridwatch::simulate::Fault;
use std::time::Duration;

use fastrand::Rng;

use super::Options;
use super::audit::{Auditor, Books, lock};
use super::rig::{self, Broker, Cameras, Daemon};
use super::scenes::{self, KEY_EVERY_S};
use super::table::{Bar, Table, quantile, short};

/// How cameras are lost.
const WAYS: [(&str, Fault); 3] = [
    ("its server is down", Fault::Refuse),
    ("its cable is pulled", Fault::Hang),
    ("it answers, but sends nothing", Fault::Stall),
];
/// How soon a loss has to be noticed, and a return from when a key picture can have come.
const NOTICED_S: f64 = 5.0;
const RECOVERED_S: f64 = 3.0;
/// After this long a trial counts as never noticed, or never recovered.
const NEVER_S: f64 = 90.0;

/// Where a camera's trial stands.
#[derive(Clone, Copy)]
enum Stand {
    /// Well until then.
    Well(f64),
    /// Away since the first, at least until the second; when that was noticed.
    Away(f64, f64, Option<f64>),
    /// Back since then.
    Back(f64),
}

pub fn run(options: &Options) -> anyhow::Result<Table> {
    let dir = rig::fresh(&options.dir, "recovery")?;
    let cameras = scenes::cameras(options.cameras)?;
    let broker = Broker::start(&dir)?;
    let served = Cameras::start(&cameras, options.seed)?;
    let clock = served.clock;
    let (books, ear) = Books::open();
    let auditor = Auditor::start(broker.settings(), clock, ear);
    auditor.wait(true)?;
    let mut daemon = Daemon::new(&options.daemon, &dir);
    std::fs::write(&daemon.config, rig::config(&cameras, &served, broker.port, &daemon.data(), 0)?)?;
    daemon.up()?;

    let mut rng = Rng::with_seed(options.seed);
    let mut stands: Vec<Stand> = cameras.iter().map(|_| Stand::Well(8.0 + 20.0 * rng.f64())).collect();
    let mut ways = vec![0; cameras.len()];
    let (mut begun, mut over, mut read) = (0, 0, 0);
    let mut noticed: Vec<Vec<f64>> = vec![Vec::new(); WAYS.len()];
    let mut recovered = noticed.clone();
    while over < options.trials {
        std::thread::sleep(Duration::from_millis(10));
        daemon.check_alive()?;
        let now = clock.now();
        let states: Vec<_> = {
            let books = lock(&books);
            let new = books.states[read..].to_vec();
            read = books.states.len();
            new
        };
        for (n, camera) in cameras.iter().enumerate() {
            let news = states.iter().filter(|(_, id, _)| *id == camera.id);
            for &(at, _, state) in news {
                match (&mut stands[n], state == CameraState::Online) {
                    (Stand::Away(since, _, seen @ None), false) if at >= *since => *seen = Some(at - *since),
                    (Stand::Back(since), true) => {
                        recovered[ways[n]].push(at - *since);
                        over += 1;
                        stands[n] = Stand::Well(at + 12.0 + 8.0 * rng.f64());
                    }
                    _ => {}
                }
            }
            match stands[n] {
                Stand::Well(until) if now >= until && begun < options.trials => {
                    ways[n] = begun % WAYS.len();
                    begun += 1;
                    served.faults(camera).begin(WAYS[ways[n]].1);
                    stands[n] = Stand::Away(now, now + 6.0 + 14.0 * rng.f64(), None);
                }
                Stand::Away(_, until, Some(after)) if now >= until => {
                    noticed[ways[n]].push(after);
                    served.faults(camera).mend();
                    stands[n] = Stand::Back(now);
                }
                Stand::Away(since, _, None) if now > since + NEVER_S => {
                    noticed[ways[n]].push(f64::INFINITY);
                    served.faults(camera).mend();
                    over += 1;
                    stands[n] = Stand::Well(now + 12.0);
                }
                Stand::Back(since) if now > since + NEVER_S => {
                    recovered[ways[n]].push(f64::INFINITY);
                    over += 1;
                    stands[n] = Stand::Well(now + 12.0);
                }
                _ => {}
            }
        }
    }
    daemon.stop()?;
    let mut table = Table::new("recovery");
    let about = format!("a key picture every {KEY_EVERY_S} s");
    table.row("cameras lost and come back", over as f64, Bar::Least(options.trials as f64), about);
    let tell = |table: &mut Table, what: &str, times: &mut Vec<f64>, bar: Bar| {
        let (median, most) = (quantile(times, 0.5), quantile(times, 1.0));
        let note = format!("median {}, at most {}, of {}", short(median), short(most), times.len());
        table.row(&format!("{what}, 95 %, s"), quantile(times, 0.95), bar, note);
    };
    tell(&mut table, "noticed", &mut noticed.concat(), Bar::Below(NOTICED_S));
    for ((name, _), times) in WAYS.iter().zip(&mut noticed) {
        tell(&mut table, &format!("  {name}"), times, Bar::None);
    }
    let bar = Bar::Below(RECOVERED_S + KEY_EVERY_S);
    tell(&mut table, "recovered", &mut recovered.concat(), bar);
    for ((name, _), times) in WAYS.iter().zip(&mut recovered) {
        tell(&mut table, &format!("  {name}"), times, Bar::None);
    }
    Ok(table)
}
