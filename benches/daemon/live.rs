//! One measurement on its way: cameras, broker, daemon and listener together.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use gridwatch::event::IncidentEvent;
use jiff::Timestamp;

use super::Bench;
use super::material::Scene;
use super::process::Held;
use super::rig::{self, Broker, Cameras, Daemon, Listener, Said, Watched};
use super::truth::{Score, Span};

/// What runs.
pub struct Plan<'a> {
    pub name: &'a str,
    /// Cameras take them in turn.
    pub scenes: &'a [&'a Scene],
    /// How many cameras are simulated.
    pub cameras: usize,
    /// Every n-th of them is watched.
    pub every: usize,
    /// Whether anything is looked for.
    pub zones: bool,
    /// Further keys of each camera's table.
    pub keys: &'a str,
    /// Further keys of `[node]`.
    pub node: &'a str,
    /// Further tables of the config.
    pub tables: &'a str,
}

impl<'a> Plan<'a> {
    /// So many cameras that take these scenes in turn, all watched.
    pub fn new(name: &'a str, scenes: &'a [&'a Scene], cameras: usize) -> Self {
        Self { name, scenes, cameras, every: 1, zones: true, keys: "", node: "", tables: "" }
    }

    /// The cameras that are watched, each with what it shows.
    fn watched(&self) -> Vec<(usize, &'a Scene)> {
        let shown = |n: usize| (n, self.scenes[n % self.scenes.len()]);
        (0..self.cameras).step_by(self.every).map(shown).collect()
    }
}

/// Everything of a run while it runs.
pub struct Live<'a> {
    pub cameras: Cameras,
    pub daemon: Daemon,
    pub broker: Broker,
    pub listener: Listener,
    watched: Vec<(usize, &'a Scene)>,
    dir: PathBuf,
}

/// What a stretch of time cost.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub cores: f64,
    /// By how much its two halves differ, as a share: the noise of this measurement.
    pub spread: f64,
    pub simulator_cores: f64,
    pub held: Held,
}

/// What a whole run came to.
pub struct Outcome {
    pub said: Said,
    /// Share of the pictures sent that the daemon took.
    pub taken: f64,
    pub heard: Vec<(Timestamp, IncidentEvent)>,
    pub score: Score,
    pub span: Span,
}

impl<'a> Live<'a> {
    /// Starts all of it.
    pub fn start(bench: &Bench, plan: &Plan<'a>) -> anyhow::Result<Self> {
        let dir = rig::folder(&bench.dir, plan.name)?;
        let broker = Broker::start(&dir)?;
        let simulator = PathBuf::from(env!("CARGO_BIN_EXE_gridwatch"));
        let cameras = Cameras::start(&simulator, &rig::clips(plan.scenes), plan.cameras, &dir)?;
        let filters = ["gridwatch/v1/bench/box/cameras/+/incidents/+", "gridwatch/v1/bench/box/reply/#"];
        let listener = broker.listen(&filters)?;
        let watched = plan.watched();
        let told: Vec<Watched<'_>> = (watched.iter())
            .map(|&(n, scene)| Watched {
                n,
                zones: if plan.zones { &scene.zones } else { &[] },
                keys: plan.keys,
            })
            .collect();
        let config = rig::config(&told, &broker, &cameras, &dir, (plan.node, plan.tables))?;
        let daemon = Daemon::start(&bench.options.daemon, &config, &dir)?;
        Ok(Self { cameras, daemon, broker, listener, watched, dir })
    }

    /// Lets it run for a while.
    pub fn warm(&mut self, seconds: f64) -> anyhow::Result<()> {
        std::thread::sleep(Duration::from_secs_f64(seconds));
        self.daemon.process.check_alive()?;
        self.cameras.process.check_alive()
    }

    /// What the next seconds cost.
    pub fn window(&mut self, seconds: f64) -> anyhow::Result<Window> {
        self.window_with(seconds, |_| {})
    }

    /// The same, with a look at it about every second.
    pub fn window_with(&mut self, seconds: f64, mut look: impl FnMut(&Self)) -> anyhow::Result<Window> {
        let before = (self.daemon.process.cpu()?, self.cameras.process.cpu()?, Instant::now());
        let mut middle = None;
        while before.2.elapsed().as_secs_f64() < seconds {
            let left = seconds - before.2.elapsed().as_secs_f64();
            self.warm(left.clamp(0.0, 1.0))?;
            look(self);
            if middle.is_none() && before.2.elapsed().as_secs_f64() >= 0.5 * seconds {
                middle = Some((self.daemon.process.cpu()?, before.2.elapsed().as_secs_f64()));
            }
        }
        let wall = before.2.elapsed().as_secs_f64();
        let cost = |now: Duration, then: Duration| now.saturating_sub(then).as_secs_f64();
        let cpu = self.daemon.process.cpu()?;
        let cores = cost(cpu, before.0) / wall;
        let spread = middle.map_or(0.0, |(at, after_s)| {
            (cost(at, before.0) / after_s - cost(cpu, at) / (wall - after_s)).abs() / cores
        });
        let simulator_cores = cost(self.cameras.process.cpu()?, before.1) / wall;
        Ok(Window { cores, spread, simulator_cores, held: self.daemon.process.held()? })
    }

    /// What the daemon says of its cameras now, if it does: `gridwatch status --json` is the same.
    pub fn status(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&std::fs::read(self.dir.join("data/status.json")).ok()?).ok()
    }

    /// Stops it; what was said, and whether it was right.
    pub fn finish(self) -> anyhow::Result<Outcome> {
        let span = Span { from: self.daemon.ready_at, to: Timestamp::now() };
        let said = self.daemon.stop()?;
        let sent = 25.0 * self.watched.len() as f64 * said.ran_s;
        let taken = said.received as f64 / sent;
        let heard = self.listener.incidents()?;
        let score = Score::of(&heard, &self.watched, self.cameras.started, span);
        Ok(Outcome { said, taken, heard, score, span })
    }
}
