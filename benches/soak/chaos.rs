//! Everything fails at random, for as long as asked.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use fastrand::Rng;
use gridwatch::store::Store;

use super::Options;
use super::audit::{Auditor, Books, lock};
use super::judge::{self, BACK_AFTER_REFUSAL_S, BACK_S, Span, Verdict};
use super::plan::{self, Act, End, Outage, Times, WAYS};
use super::rig::{self, Broker, Cameras, Clock, Daemon, Road, Way};
use super::scenes::{self, Camera};
use super::table::{Bar, Table, quantile, short};
use gridwatch::simulate::Fault;

/// Between two looks at the plan; while a kill waits for a message, between two looks at the auditor.
const TICK: Duration = Duration::from_millis(20);
const TICK_ARMED: Duration = Duration::from_millis(1);
/// How long a kill waits for a message.
const ARMED_S: f64 = 10.0;
/// How often the daemon's memory and files are counted, in seconds.
const COUNT_EVERY_S: f64 = 2.0;
/// How long a daemon has to run before its memory may not grow any more: rings fill, backgrounds and references are learnt.
const WARM_S: f64 = 150.0;
/// After that, it has to run for so long until its growth is judged: by the first and the last third of that time.
const GROWTH_S_MIN: f64 = 120.0;
/// Share of the time, in percent, in which the machine may be too busy for a verdict on the rest to mean anything.
const BUSY_MAX: f64 = 5.0;

/// What happened when, for the judge and for people.
struct Journal {
    clock: Clock,
    file: std::fs::File,
    /// For each camera, when it was not well or nobody watched.
    bad: Vec<Vec<Span>>,
    kills: usize,
    stops: usize,
    outages: usize,
    faults: usize,
    reloads: usize,
}

impl Journal {
    fn note(&mut self, text: &str) {
        let line = format!("{:8.2}  {text}", self.clock.now());
        eprintln!("{line}");
        let _ = writeln!(self.file, "{line}");
    }
}

/// Everything that runs.
struct Stage<'a> {
    cameras: &'a [Camera],
    served: Cameras,
    broker: Broker,
    road: Road,
    auditor: Auditor,
    daemon: Daemon,
    journal: Journal,
    outage: Option<Outage>,
    /// When the daemon was last ended.
    ended: f64,
    /// Of which life the counts are: when it began, and when, bytes and files.
    lived: (f64, Vec<(f64, u64, u64)>),
    /// Seconds in which the daemon said that the machine was too busy for it.
    busy_s: f64,
    /// Until when a kill waits for a message, and how many had come.
    armed: Option<(f64, u64)>,
    turn: usize,
    rng: Rng,
}

/// The case; without faults it says what the daemon finds when nothing fails.
pub fn run(options: &Options, faults: bool) -> anyhow::Result<Table> {
    let name = if faults { "chaos" } else { "calm" };
    let dir = rig::fresh(&options.dir, name)?;
    let cameras = scenes::cameras(options.cameras)?;
    let broker = Broker::start(&dir)?;
    let served = Cameras::start(&cameras, options.seed)?;
    let clock = served.clock;
    let (books, ear) = Books::open();
    let auditor = Auditor::start(broker.settings(), clock, ear);
    auditor.wait(true)?;
    let road = Road::to(broker.port)?;
    let mut daemon = Daemon::new(&options.daemon, &dir);
    std::fs::write(&daemon.config, rig::config(&cameras, &served, road.port, &daemon.data(), 0)?)?;
    daemon.up()?;
    let journal = Journal {
        clock,
        file: std::fs::File::create(dir.join("journal.txt"))?,
        bad: vec![vec![(-1e9, clock.now() + BACK_S)]; cameras.len()],
        kills: 0,
        stops: 0,
        outages: 0,
        faults: 0,
        reloads: 0,
    };
    let mut stage = Stage {
        cameras: &cameras,
        served,
        broker,
        road,
        auditor,
        daemon,
        journal,
        outage: None,
        ended: 0.0,
        lived: (clock.now(), Vec::new()),
        busy_s: 0.0,
        armed: None,
        turn: 0,
        rng: Rng::with_seed(options.seed ^ 0x50a4),
    };
    let times = Times::of(options.minutes, faults && !options.no_kill);
    let acts =
        if faults { plan::plan(&times, cameras.len(), options.seed, !options.no_reload) } else { Vec::new() };
    let (cpu, self_cpu) = stage.play(acts, times.ends)?;
    let until = clock.now();
    // What was said in the last second is on its way.
    std::thread::sleep(Duration::from_secs(1));
    stage.daemon.stop()?;
    let Stage { auditor, daemon, journal, lived, busy_s, .. } = stage;
    let left = left_over(&daemon.data(), &lock(&books))?;
    drop(auditor);
    let books = lock(&books);
    write_statements(&books, &clock, &dir)?;
    let verdict = judge::judge(&books, &cameras, &journal.bad, &clock, (times.settles + BACK_S, until));
    let mut table = Table::new(name);
    // So much has to go wrong in half an hour for the rest to say something.
    let least = |count| if faults && options.minutes >= 30.0 { Bar::Least(count) } else { Bar::None };
    rows(&mut table, &verdict, &books, &journal, &left, least);
    growth(&mut table, &lived);
    let note = "as the daemon says itself; nothing is due then";
    table.row("machine too busy, % of the time", busy_s / until * 100.0, Bar::Most(BUSY_MAX), note);
    table.row("cores of the daemon", cpu, Bar::None, format!("simulator and auditor {}", short(self_cpu)));
    Ok(table)
}

impl Stage<'_> {
    /// Plays the plan to its end; cores of the daemon's last life, and of this process.
    fn play(&mut self, acts: Vec<(f64, Act)>, ends: f64) -> anyhow::Result<(f64, f64)> {
        let mut acts = acts.into_iter().peekable();
        let mut counted = 0.0;
        let self_cpu = || gridwatch::processor::process_time().as_secs_f64();
        let (began, self_began) = (self.clock().now(), self_cpu());
        loop {
            let now = self.clock().now();
            while let Some((_, act)) = acts.next_if(|(at, _)| *at <= now) {
                self.act(act)?;
            }
            self.kill_at_message()?;
            self.daemon.check_alive()?;
            if now >= counted + COUNT_EVERY_S
                && let Some(held) = self.daemon.held()
            {
                counted = now;
                self.lived.1.push((now, held.rss_bytes, held.files));
                if self.daemon.is_short() {
                    self.busy_s += COUNT_EVERY_S;
                    self.journal.bad.iter_mut().for_each(|bad| bad.insert(0, (now - BACK_S, now + BACK_S)));
                }
            }
            if now >= ends && acts.peek().is_none() {
                break;
            }
            std::thread::sleep(if self.armed.is_some() { TICK_ARMED } else { TICK });
        }
        let now = self.clock().now();
        let cpu = self.daemon.cpu_s().unwrap_or(f64::NAN) / (now - self.lived.0);
        Ok((cpu, (self_cpu() - self_began) / (now - began)))
    }

    fn clock(&self) -> Clock {
        self.served.clock
    }

    fn act(&mut self, act: Act) -> anyhow::Result<()> {
        let now = self.clock().now();
        match act {
            Act::Begin { camera, way } => {
                let _runtime = self.served.runtime.enter();
                let faults = self.served.faults(&self.cameras[camera]);
                WAYS[way].faults.iter().for_each(|&fault| faults.begin(fault));
                self.journal.bad[camera].push((now, f64::INFINITY));
                self.journal.faults += 1;
                self.journal.note(&format!("cam{} {}", camera + 1, WAYS[way].name));
            }
            Act::Mend { camera, way } => {
                self.served.faults(&self.cameras[camera]).mend();
                let refused = WAYS[way].faults.contains(&Fault::Unauthorized);
                let back = now + if refused { BACK_AFTER_REFUSAL_S } else { BACK_S };
                if let Some(last) = self.journal.bad[camera].last_mut() {
                    last.1 = back;
                }
            }
            Act::AllGone { seconds } => {
                self.served.runtime.block_on(self.served.server.restart(Duration::from_secs_f64(seconds)));
                // Before the faults that go on, whose end is still to be written.
                self.journal.bad.iter_mut().for_each(|bad| bad.insert(0, (now, now + seconds + BACK_S)));
                self.journal.faults += 1;
                self.journal.note(&format!("all cameras gone for {seconds:.1} s"));
            }
            Act::BrokerDown(outage) => self.broker_down(outage)?,
            Act::BrokerUp => self.broker_up()?,
            Act::DaemonDown(End::KilledAtMessage) => {
                self.armed = Some((now + ARMED_S, self.auditor.messages()));
            }
            Act::DaemonDown(end) => self.daemon_down(end == End::Stopped)?,
            Act::DaemonUp => {
                if self.armed.take().is_some() {
                    self.daemon_down(false)?;
                }
                self.daemon_up()?;
            }
            Act::Reload { bad } => self.reload(bad)?,
        }
        Ok(())
    }

    fn kill_at_message(&mut self) -> anyhow::Result<()> {
        if let Some((until, messages)) = self.armed
            && (self.auditor.messages() > messages || self.clock().now() >= until)
        {
            self.armed = None;
            std::thread::sleep(Duration::from_millis(self.rng.u64(..30)));
            self.daemon_down(false)?;
        }
        Ok(())
    }

    fn daemon_down(&mut self, in_order: bool) -> anyhow::Result<()> {
        if !self.daemon.is_up() {
            return Ok(());
        }
        self.ended = self.clock().now();
        if in_order {
            self.daemon.stop()?;
            self.journal.stops += 1;
        } else {
            self.daemon.kill()?;
            self.journal.kills += 1;
        }
        self.journal.note(if in_order { "daemon stopped" } else { "daemon killed" });
        Ok(())
    }

    fn daemon_up(&mut self) -> anyhow::Result<()> {
        if self.daemon.is_up() {
            return Ok(());
        }
        self.daemon.up()?;
        let now = self.clock().now();
        let down = (self.ended, now + BACK_S);
        self.journal.bad.iter_mut().for_each(|bad| bad.insert(0, down));
        self.lived = (now, Vec::new());
        self.journal.note("daemon watches");
        Ok(())
    }

    fn broker_down(&mut self, outage: Outage) -> anyhow::Result<()> {
        self.journal.outages += 1;
        self.journal.note(&format!("broker {outage:?}"));
        self.outage = Some(outage);
        match outage {
            Outage::Cut => self.road.set(Way::Cut),
            Outage::Mute => self.road.set(Way::Mute),
            Outage::Stopped | Outage::Killed | Outage::Forgot => {
                self.broker.down(outage == Outage::Stopped, outage == Outage::Forgot)?;
                self.auditor.wait(false)?;
                // Nobody may speak before somebody listens.
                self.road.set(Way::Cut);
            }
        }
        Ok(())
    }

    fn broker_up(&mut self) -> anyhow::Result<()> {
        if self.outage.take().is_some() {
            self.broker.up()?;
            self.auditor.wait(true)?;
            self.road.set(Way::Open);
            self.journal.note("broker back");
        }
        Ok(())
    }

    /// Writes another config and tells the daemon; a bad one is told first, and must change nothing.
    fn reload(&mut self, bad: bool) -> anyhow::Result<()> {
        if !self.daemon.is_up() || self.armed.is_some() {
            return Ok(());
        }
        self.turn += 1;
        let data = self.daemon.data();
        let text = rig::config(self.cameras, &self.served, self.road.port, &data, self.turn)?;
        if bad {
            std::fs::write(&self.daemon.config, format!("{text}\n[[zone]\n"))?;
            self.daemon.reload()?;
            std::thread::sleep(Duration::from_millis(700));
        }
        // In one step: a daemon that is started now must not read half of it.
        let new = self.daemon.config.with_extension("new");
        std::fs::write(&new, text)?;
        std::fs::rename(&new, &self.daemon.config)?;
        self.daemon.reload()?;
        self.journal.reloads += 1;
        let back = self.clock().now() + BACK_S;
        for (n, bad) in self.journal.bad.iter_mut().enumerate() {
            if rig::touched(n, self.turn) == self.turn {
                bad.insert(0, (back - BACK_S, back));
            }
        }
        self.journal.note(if bad { "reload, a bad config first" } else { "reload" });
        Ok(())
    }
}

/// What the store holds at the end that the broker has not received.
struct LeftOver {
    unheard: Vec<String>,
    undelivered: u64,
    gave_way: u64,
}

fn left_over(data: &Path, books: &Books) -> anyhow::Result<LeftOver> {
    let store = Store::open(data)?;
    let mut unheard = Vec::new();
    for incident in store.latest_incidents(usize::MAX >> 1)? {
        let heard = books.incidents.get(&incident.incident);
        for seq in 1..=incident.seq {
            if heard.is_none_or(|heard| !heard.contains_key(&seq)) {
                unheard.push(format!(
                    "{}/{seq} of {}/{}",
                    incident.incident, incident.camera.id, incident.zone.id.0
                ));
            }
        }
    }
    let gave_way = store.gave_way();
    Ok(LeftOver {
        unheard,
        undelivered: store.outbox_size()?.rows,
        gave_way: gave_way.evidence + gave_way.incident,
    })
}

/// Leaves what was heard, one line each, for whoever looks for the cause of a broken bar.
fn write_statements(books: &Books, clock: &Clock, dir: &Path) -> anyhow::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(dir.join("statements.txt"))?);
    let all = books.incidents.values().flat_map(std::collections::BTreeMap::values);
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|statement| statement.event.time);
    for statement in all {
        let event = &statement.event;
        let incident = &event.data;
        writeln!(
            file,
            "{:8.2} heard {:8.2} {} {} {:?} {:?} {:?} first {:.2} last {:.2} dwell {:.1} unseen {:.1}",
            clock.of(event.time),
            statement.heard,
            event.subject,
            event.id,
            incident.phase,
            incident.certainty,
            incident.closed_reason,
            clock.of(incident.first_seen),
            clock.of(incident.last_seen),
            incident.dwell_s,
            incident.unseen_s
        )?;
    }
    Ok(())
}

fn rows(
    table: &mut Table,
    verdict: &Verdict,
    books: &Books,
    journal: &Journal,
    left: &LeftOver,
    least: impl Fn(f64) -> Bar,
) {
    let Journal { kills, stops, outages, faults, reloads, .. } = journal;
    let note = format!("and stopped in order {stops}");
    table.row("daemon killed", *kills as f64, least(25.0), note);
    table.row("broker outages", *outages as f64, least(10.0), "");
    table.row("camera faults", *faults as f64, least(50.0), "");
    table.row("reloads", *reloads as f64, Bar::None, "");
    let note = format!(
        "{} statements and {} citations of pictures heard, {} statements more than once",
        books.statements - books.repeats,
        books.pictures_cited,
        books.repeats
    );
    table.row("incidents heard", books.incidents.len() as f64, Bar::None, note);
    let note = "camera well and daemon alive without a break for the dwell and 7 s (stalls: 15 s)";
    table.row("staged", verdict.staged as f64, Bar::None, "");
    table.row("of them due", verdict.due as f64, Bar::None, note);
    table.none_of("lost, of those due", &verdict.lost);
    let note = "well and alive for as long in all, in pieces";
    table.row("due in pieces", verdict.due_in_pieces as f64, Bar::None, note);
    table.none_of("lost, of those due in pieces", &verdict.lost_in_pieces);
    let note = "its end was not seen, or not for long enough";
    table.row(
        "of those due, told of by the incident of the matter before",
        verdict.in_one as f64,
        Bar::None,
        note,
    );
    table.row("found though not due", verdict.found_besides as f64, Bar::None, "");
    table.none_of("opened twice under different ids", &verdict.opened_twice);
    table.none_of("open for ever", &verdict.open_for_ever);
    table.some_of(
        "opened where nothing was staged",
        &verdict.unstaged,
        "a daemon that comes up in the clip's rain may take its end for an object",
    );
    table.none_of("statements out of order or with a gap before them", &books.out_of_order);
    table.none_of("statements that came again with other bytes", &books.unequal);
    table.none_of("pictures cited that had not come, or not as cited", &books.without_picture);
    table.none_of("messages that cannot be read", &books.unreadable);
    table.none_of("statements in the store that the broker never had", &left.unheard);
    let waiting = "in the outbox at the end";
    table.row("messages undelivered", left.undelivered as f64, Bar::Most(0.0), waiting);
    table.row("messages that gave way", left.gave_way as f64, Bar::Most(0.0), "");
    let mut delays = verdict.delays_s.clone();
    let note = format!("95 %: {}", short(quantile(&mut delays, 0.95)));
    table.row(
        "seconds from the complete dwell to the statement, median",
        quantile(&mut delays, 0.5),
        Bar::None,
        note,
    );
}

fn growth(table: &mut Table, (began, counts): &(f64, Vec<(f64, u64, u64)>)) {
    let ended = counts.last().map_or(*began, |count| count.0);
    let warm = began + WARM_S;
    if ended - warm < GROWTH_S_MIN {
        let note = format!("the last life lasted {:.0} s only: too short to judge growth", ended - began);
        table.row("RSS growth after warm-up, %", f64::NAN, Bar::None, note);
        return;
    }
    let of = |from: f64, to: f64, what: fn(&(f64, u64, u64)) -> u64| -> Vec<f64> {
        let within = counts.iter().filter(|count| count.0 >= from && count.0 <= to);
        within.map(|count| what(count) as f64).collect()
    };
    // Clips and pictures in the making come and go by two per cent: the longer the averages, the less of it is left.
    let third = (ended - warm) / 3.0;
    let (first, last) = ((warm, warm + third), (ended - third, ended));
    let rss = |span: Span| quantile(&mut of(span.0, span.1, |count| count.1), 0.5);
    let (early, late) = (rss(first), rss(last));
    let note = format!("{:.1} MB to {:.1} MB in {:.0} s", early * 1e-6, late * 1e-6, ended - warm);
    table.row("RSS growth after warm-up, %", (late / early - 1.0) * 100.0, Bar::Below(2.0), note);
    // A file that is written at the moment comes and goes; what leaks stays.
    let files = |span: Span| quantile(&mut of(span.0, span.1, |count| count.2), 0.5);
    let (early, late) = (files(first), files(last));
    let most = of(warm, ended, |count| count.2).into_iter().fold(0.0, f64::max);
    let note = format!("median {early:.0} to {late:.0}, at most {most:.0}");
    table.row("file descriptors more than after warm-up", late - early, Bar::Most(2.0), note);
}
