//! Patrols and polls at work: tells the scheduler what cameras do, cameras what the scheduler says, and the platform what
//! it asked for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::cameras::States;
use super::desk::Desk;
use super::intake::{Asked, Polled, PostBox, Turn};
use crate::config::{Camera, Config, PatrolPlan};
use crate::dispatch::Dispatch;
use crate::event::{CheckedPoll, PollDone, PollMiss, PollMissing, PollPicture, PollReply};
use crate::frame::{CameraId, CameraState};
use crate::sampler::patrol::{Change, Event, Missed, Patrol};

/// Time between two steps: a fortieth of a usual visit.
const STEP_EVERY: Duration = Duration::from_millis(250);

/// A camera that is there and gives no picture for so long will give none; as the scheduler's own limit for its members.
const POLL_MAX: Duration = Duration::from_secs(25);

/// Patrols and polls, on a task of their own.
pub struct Patrols {
    cameras: mpsc::UnboundedSender<Lists>,
    task: JoinHandle<()>,
}

/// A camera that runs.
pub struct Member {
    /// Its settings.
    pub camera: Arc<Camera>,
    /// Its shared side.
    pub post: PostBox,
    /// Whether it is to be connected now.
    pub wanted: watch::Sender<bool>,
}

/// All cameras that run: those that are visited in turn, by group with its plan, and all others.
#[derive(Default)]
struct Lists {
    groups: BTreeMap<String, (PatrolPlan, Vec<Member>)>,
    others: HashMap<CameraId, PostBox>,
}

/// A camera on a patrol, and what was last known of it.
struct Visited {
    member: Member,
    online: bool,
    urgent: bool,
}

/// One group's patrol.
struct Round {
    plan: PatrolPlan,
    patrol: Patrol,
    members: HashMap<CameraId, Visited>,
    /// Who has given the picture that was asked for since the last step.
    taken: Vec<Event>,
}

/// The poll that runs.
struct Poll {
    id: String,
    waiting: BTreeSet<CameraId>,
    ends: Instant,
    answered: u32,
    missing: u32,
}

/// Everything that goes on.
struct Work<'a> {
    rounds: BTreeMap<String, Round>,
    others: HashMap<CameraId, PostBox>,
    states: States,
    dispatch: Option<&'a Dispatch>,
    desk: &'a Arc<Desk>,
    asked: Asked,
    poll: Option<Poll>,
    started: Instant,
}

impl Patrols {
    /// Visits and answers until told to stop; no cameras yet.
    pub fn start(
        states: States,
        dispatch: Option<Arc<Dispatch>>,
        desk: Arc<Desk>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let (cameras, lists) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move { run(states, dispatch.as_deref(), &desk, lists, stop).await });
        Self { cameras, task }
    }

    /// Says which cameras run now; a group with the same members and plan as before goes on where it is.
    pub fn set(&self, config: &Config, members: Vec<Member>) {
        let mut lists = Lists::default();
        for member in members {
            let group = member.camera.group.as_ref().filter(|_| member.camera.patrolled);
            let plan = group.and_then(|group| Some((group.clone(), *config.patrols.get(group)?)));
            let Some((group, plan)) = plan else {
                member.wanted.send_replace(true);
                lists.others.insert(member.camera.id.clone(), member.post);
                continue;
            };
            lists.groups.entry(group).or_insert_with(|| (plan, Vec::new())).1.push(member);
        }
        // The task ends only when everything does.
        let _ = self.cameras.send(lists);
    }

    /// Waits until it has stopped.
    pub async fn stopped(self) {
        let _ = self.task.await; // A panic in there has been reported by the hook.
    }
}

async fn run(
    states: States,
    dispatch: Option<&Dispatch>,
    desk: &Arc<Desk>,
    mut lists: mpsc::UnboundedReceiver<Lists>,
    mut stop: watch::Receiver<bool>,
) {
    let mut polls = dispatch.and_then(Dispatch::polls);
    let (asked, mut polled) = mpsc::unbounded_channel();
    let mut work = Work {
        rounds: BTreeMap::new(),
        others: HashMap::new(),
        states,
        dispatch,
        desk,
        asked: Asked { to: asked, zone: None },
        poll: None,
        started: Instant::now(),
    };
    let mut step = tokio::time::interval(STEP_EVERY);
    while !*stop.borrow_and_update() {
        let idle = work.poll.is_none();
        let poll = async {
            match &mut polls {
                Some(polls) if idle => polls.recv().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = stop.changed() => if changed.is_err() { return },
            Some(lists) = lists.recv() => work.set(lists),
            Some(poll) = poll => work.begin(poll),
            Some(polled) = polled.recv() => work.answered(polled),
            _ = step.tick() => work.step(),
        }
    }
}

impl Round {
    fn new(group: &str, plan: PatrolPlan, members: Vec<Member>) -> Self {
        let cameras: Vec<_> = members.iter().map(|m| (m.camera.id.clone(), m.camera.priority)).collect();
        let patrol = Patrol::new(&plan, &cameras);
        let round_s = patrol.round().as_secs_f64();
        tracing::info!(group, cameras = cameras.len(), slots = plan.slots, round_s, "patrol");
        let visited = |member: Member| {
            // Nobody looks before its first visit.
            member.post.lock().turn = Some(Turn { resting: true, round_s });
            member.wanted.send_replace(false);
            (member.camera.id.clone(), Visited { member, online: false, urgent: false })
        };
        Self { plan, patrol, members: members.into_iter().map(visited).collect(), taken: Vec::new() }
    }

    /// Whether these are its members, and this is its plan.
    fn is_of(&self, plan: PatrolPlan, members: &[Member]) -> bool {
        let known = |new: &Member| {
            self.members.get(&new.camera.id).is_some_and(|visited| visited.member.post.is(&new.post))
        };
        self.plan == plan && self.members.len() == members.len() && members.iter().all(known)
    }
}

impl Work<'_> {
    /// Other cameras run now.
    fn set(&mut self, lists: Lists) {
        self.others = lists.others;
        let mut before = std::mem::take(&mut self.rounds);
        for (group, (plan, members)) in lists.groups {
            let same = before.remove(&group).filter(|round| round.is_of(plan, &members));
            let round = same.unwrap_or_else(|| Round::new(&group, plan, members));
            self.rounds.insert(group, round);
        }
    }

    /// Some time has passed.
    fn step(&mut self) {
        let now = self.started.elapsed();
        let mut all = Vec::new();
        for round in self.rounds.values_mut() {
            let events = round.events(&self.states);
            let changes = round.patrol.step(now, &events);
            round.apply(&changes, &self.states, &self.asked);
            all.extend(changes);
        }
        self.tell(all);
        if let Some(poll) = self.poll.as_ref().filter(|poll| Instant::now() >= poll.ends) {
            for camera in poll.waiting.clone() {
                self.missed(camera, PollMiss::NoPicture);
            }
        }
        self.end_poll();
    }

    /// Answers for those who gave no picture.
    fn tell(&mut self, changes: Vec<Change>) {
        for change in changes {
            if let Change::Missed(camera, why) = change {
                let why = match why {
                    Missed::Offline => PollMiss::Offline,
                    Missed::NoPicture => PollMiss::NoPicture,
                    Missed::NoTime => PollMiss::NoTime,
                };
                self.missed(camera, why);
            }
        }
    }

    fn begin(&mut self, CheckedPoll { id, cameras }: CheckedPoll) {
        tracing::info!(id, cameras = cameras.len(), "poll");
        let ends = Instant::now() + POLL_MAX;
        self.poll =
            Some(Poll { id, waiting: cameras.iter().cloned().collect(), ends, answered: 0, missing: 0 });
        let now = self.started.elapsed();
        let mut all = Vec::new();
        for round in self.rounds.values_mut() {
            let members: Vec<_> =
                cameras.iter().filter(|c| round.members.contains_key(*c)).cloned().collect();
            if !members.is_empty() {
                let changes = round.patrol.poll(&members, now);
                round.apply(&changes, &self.states, &self.asked);
                all.extend(changes);
            }
        }
        self.tell(all);
        let patrolled =
            |camera: &CameraId| self.rounds.values().any(|round| round.members.contains_key(camera));
        let others: Vec<CameraId> = cameras.into_iter().filter(|camera| !patrolled(camera)).collect();
        for camera in others {
            let online = self.state(&camera) == Some(CameraState::Online);
            match self.others.get(&camera) {
                Some(post) if online => post.lock().asked.push(self.asked.clone()),
                Some(_) => self.missed(camera, PollMiss::Offline),
                None => self.missed(camera, PollMiss::Disabled),
            }
        }
        self.end_poll();
    }

    fn answered(&mut self, Polled { camera, picture, .. }: Polled) {
        let round = self.rounds.values_mut().find(|round| round.members.contains_key(&camera));
        if let Some(round) = round {
            round.taken.push(Event::Taken(camera.clone()));
        }
        let Some((captured, evidence)) = picture else { return self.missed(camera, PollMiss::NoPicture) };
        // An answer that comes after its poll is over is nobody's.
        let Some(poll) = self.poll.as_mut().filter(|poll| poll.waiting.contains(&camera)) else { return };
        poll.waiting.remove(&camera);
        poll.answered += 1;
        let age_s = Timestamp::now().duration_since(captured.wall).as_secs_f64().max(0.0);
        let id = poll.id.clone();
        let (desk, path, why) = (Arc::clone(self.desk), evidence.path.clone(), format!("command {id}"));
        tokio::task::spawn_blocking(move || desk.sent(vec![path], &why));
        self.reply(PollReply::Picture(PollPicture { id, camera, captured: captured.wall, age_s, evidence }));
        self.end_poll();
    }

    fn missed(&mut self, camera: CameraId, missing: PollMiss) {
        let Some(poll) = self.poll.as_mut().filter(|poll| poll.waiting.contains(&camera)) else { return };
        poll.waiting.remove(&camera);
        poll.missing += 1;
        let id = poll.id.clone();
        self.reply(PollReply::Missing(PollMissing { id, camera, missing }));
    }

    /// Ends the poll when every camera has been answered for.
    fn end_poll(&mut self) {
        if let Some(Poll { id, answered, missing, .. }) = self.poll.take_if(|poll| poll.waiting.is_empty()) {
            let last = PollReply::Done(PollDone { id, done: true, answered, missing });
            tokio::task::block_in_place(|| self.reply(last)); // It is written down.
        }
    }

    fn reply(&self, reply: PollReply) {
        if let Some(dispatch) = self.dispatch {
            dispatch.reply(reply);
        }
    }

    fn state(&self, camera: &CameraId) -> Option<CameraState> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).get(camera).copied()
    }
}

impl Round {
    /// Does what the scheduler says.
    fn apply(&mut self, changes: &[Change], states: &States, asked: &Asked) {
        for change in changes {
            let Some(camera) = change.camera() else { continue };
            let Some(visited) = self.members.get_mut(camera) else { continue };
            let Member { post, wanted, .. } = &visited.member;
            match change {
                Change::Connect(_) => _ = wanted.send_replace(true),
                Change::Disconnect(_) => {
                    wanted.send_replace(false);
                    visited.online = false;
                    let mut states = states.lock().unwrap_or_else(PoisonError::into_inner);
                    states.insert(camera.clone(), CameraState::Connecting);
                }
                Change::Begin(_) => post.lock().visit(),
                Change::End(_) => post.lock().rest(),
                Change::Take(_) => post.lock().asked.push(asked.clone()),
                Change::Missed(..) | Change::Polled => {}
            }
        }
    }

    /// What has happened to the members since the last step.
    fn events(&mut self, states: &States) -> Vec<Event> {
        let mut events = std::mem::take(&mut self.taken);
        let states = states.lock().unwrap_or_else(PoisonError::into_inner);
        for (camera, visited) in &mut self.members {
            let online = states.get(camera) == Some(&CameraState::Online);
            let urgent = visited.member.post.lock().need.urgent;
            if std::mem::replace(&mut visited.online, online) != online {
                let event = if online { Event::Online } else { Event::Offline };
                events.push(event(camera.clone()));
            }
            if std::mem::replace(&mut visited.urgent, urgent) != urgent {
                events.push(Event::Urgent(camera.clone(), urgent));
            }
        }
        events
    }
}
