//! Patrols and polls at work: tells the scheduler what cameras do, cameras what the scheduler says, and the platform what
//! it asked for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use super::cameras::States;
use super::intake::{Asked, Polled, PostBox, Turn};
use crate::config::{Camera, Config};
use crate::dispatch::Dispatch;
use crate::event::{Command, PollDone, PollMiss, PollMissing, PollPicture, PollReply};
use crate::frame::{CameraId, CameraState};
use crate::sampler::patrol::{Change, Event, Missed, Patrol};

/// Time between two steps: a fortieth of a usual visit.
const STEP_EVERY: Duration = Duration::from_millis(250);

/// A camera that is there and gives no picture for so long will give none; as the scheduler's own limit for its members.
const POLL_MAX: Duration = Duration::from_secs(25);

/// The cameras that are visited in turn, by group, and all others.
#[derive(Default)]
pub struct Patrols {
    groups: BTreeMap<String, Vec<Member>>,
    others: HashMap<CameraId, PostBox>,
}

struct Member {
    camera: CameraId,
    priority: f64,
    post: PostBox,
    wanted: watch::Sender<bool>,
    online: bool,
    urgent: bool,
}

/// One group's patrol.
struct Round {
    patrol: Patrol,
    members: HashMap<CameraId, Member>,
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
    rounds: Vec<Round>,
    others: HashMap<CameraId, PostBox>,
    states: States,
    dispatch: Option<&'a Dispatch>,
    asked: Asked,
    poll: Option<Poll>,
    started: Instant,
}

impl Patrols {
    /// Takes up a camera; if it is visited in turn, gives whether it is to be connected, now and from then on.
    pub fn join(&mut self, camera: &Camera, post: &PostBox) -> Option<watch::Receiver<bool>> {
        let Some(group) = camera.group.as_ref().filter(|_| camera.patrolled) else {
            self.others.insert(camera.id.clone(), post.clone());
            return None;
        };
        // Nobody looks before its first visit.
        post.lock().turn = Some(Turn { resting: true, round_s: 0.0 });
        let (wanted, receiver) = watch::channel(false);
        let member = Member {
            camera: camera.id.clone(),
            priority: camera.priority,
            post: post.clone(),
            wanted,
            online: false,
            urgent: false,
        };
        self.groups.entry(group.clone()).or_default().push(member);
        Some(receiver)
    }

    /// Visits and answers until told to stop.
    pub async fn run(
        self,
        config: &Config,
        states: States,
        dispatch: Option<Arc<Dispatch>>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut commands = dispatch.as_ref().and_then(|dispatch| dispatch.commands());
        let (asked, mut polled) = mpsc::unbounded_channel();
        let mut work = Work {
            rounds: rounds(self.groups, config),
            others: self.others,
            states,
            dispatch: dispatch.as_deref(),
            asked,
            poll: None,
            started: Instant::now(),
        };
        let mut step = tokio::time::interval(STEP_EVERY);
        while !*stop.borrow_and_update() {
            let idle = work.poll.is_none();
            let command = async {
                match &mut commands {
                    Some(commands) if idle => commands.recv().await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = stop.changed() => if changed.is_err() { return },
                Some(command) = command => work.begin(command),
                Some(polled) = polled.recv() => work.answered(polled),
                _ = step.tick() => work.step(),
            }
        }
    }
}

fn rounds(groups: BTreeMap<String, Vec<Member>>, config: &Config) -> Vec<Round> {
    let mut rounds = Vec::new();
    for (group, members) in groups {
        let Some(plan) = config.patrols.get(&group) else { continue };
        let cameras: Vec<_> = members.iter().map(|m| (m.camera.clone(), m.priority)).collect();
        let patrol = Patrol::new(plan, &cameras);
        let round_s = patrol.round().as_secs_f64();
        tracing::info!(group, cameras = cameras.len(), slots = plan.slots, round_s, "patrol");
        for member in &members {
            member.post.lock().turn = Some(Turn { resting: true, round_s });
        }
        let members = members.into_iter().map(|member| (member.camera.clone(), member)).collect();
        rounds.push(Round { patrol, members, taken: Vec::new() });
    }
    rounds
}

impl Work<'_> {
    /// Some time has passed.
    fn step(&mut self) {
        let now = self.started.elapsed();
        for index in 0..self.rounds.len() {
            let events = self.rounds[index].events(&self.states);
            let changes = self.rounds[index].patrol.step(now, &events);
            self.apply(index, changes);
        }
        if let Some(poll) = self.poll.as_ref().filter(|poll| Instant::now() >= poll.ends) {
            for camera in poll.waiting.clone() {
                self.missed(camera, PollMiss::NoPicture);
            }
        }
        self.end_poll();
    }

    fn apply(&mut self, index: usize, changes: Vec<Change>) {
        for change in changes {
            let members = &mut self.rounds[index].members;
            match change {
                Change::Connect(camera) => {
                    if let Some(member) = members.get(&camera) {
                        member.wanted.send_replace(true);
                    }
                }
                Change::Disconnect(camera) => {
                    if let Some(member) = members.get_mut(&camera) {
                        member.wanted.send_replace(false);
                        member.online = false;
                        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
                        states.insert(camera, CameraState::Connecting);
                    }
                }
                Change::Begin(camera) => _ = members.get(&camera).map(|member| member.post.lock().visit()),
                Change::End(camera) => _ = members.get(&camera).map(|member| member.post.lock().rest()),
                Change::Take(camera) => {
                    let asked = self.asked.clone();
                    _ = members.get(&camera).map(|member| member.post.lock().asked = Some(asked));
                }
                Change::Missed(camera, why) => {
                    let why = match why {
                        Missed::Offline => PollMiss::Offline,
                        Missed::NoPicture => PollMiss::NoPicture,
                        Missed::NoTime => PollMiss::NoTime,
                    };
                    self.missed(camera, why);
                }
                Change::Polled => {}
            }
        }
    }

    fn begin(&mut self, command: Command) {
        let Command::Poll { id, cameras } = command;
        tracing::info!(id, cameras = cameras.len(), "poll");
        let ends = Instant::now() + POLL_MAX;
        self.poll =
            Some(Poll { id, waiting: cameras.iter().cloned().collect(), ends, answered: 0, missing: 0 });
        let now = self.started.elapsed();
        for index in 0..self.rounds.len() {
            let round = &mut self.rounds[index];
            let members: Vec<_> =
                cameras.iter().filter(|c| round.members.contains_key(*c)).cloned().collect();
            if !members.is_empty() {
                let changes = round.patrol.poll(&members, now);
                self.apply(index, changes);
            }
        }
        let patrolled =
            |camera: &CameraId| self.rounds.iter().any(|round| round.members.contains_key(camera));
        let others: Vec<CameraId> = cameras.into_iter().filter(|camera| !patrolled(camera)).collect();
        for camera in others {
            let online = self.state(&camera) == Some(CameraState::Online);
            match self.others.get(&camera) {
                Some(post) if online => post.lock().asked = Some(self.asked.clone()),
                Some(_) => self.missed(camera, PollMiss::Offline),
                None => self.missed(camera, PollMiss::Disabled),
            }
        }
        self.end_poll();
    }

    fn answered(&mut self, Polled { camera, picture }: Polled) {
        let round = self.rounds.iter_mut().find(|round| round.members.contains_key(&camera));
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
            self.reply(PollReply::Done(PollDone { id, done: true, answered, missing }));
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
    /// What has happened to the members since the last step.
    fn events(&mut self, states: &States) -> Vec<Event> {
        let mut events = std::mem::take(&mut self.taken);
        let states = states.lock().unwrap_or_else(PoisonError::into_inner);
        for member in self.members.values_mut() {
            let online = states.get(&member.camera) == Some(&CameraState::Online);
            let urgent = member.post.lock().need.urgent;
            if std::mem::replace(&mut member.online, online) != online {
                let event = if online { Event::Online } else { Event::Offline };
                events.push(event(member.camera.clone()));
            }
            if std::mem::replace(&mut member.urgent, urgent) != urgent {
                events.push(Event::Urgent(member.camera.clone(), urgent));
            }
        }
        events
    }
}
