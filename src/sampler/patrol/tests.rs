use proptest::prelude::*;

use super::*;

const TICK: f64 = 0.25;

fn id(index: usize) -> CameraId {
    CameraId::from(format!("c{index}").as_str())
}

fn index(camera: &CameraId) -> usize {
    camera.as_str()[1..].parse().unwrap()
}

fn s(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// A world for a patrol: cameras that take `answer_s` from connecting to the first picture, or never answer.
struct World {
    patrol: Patrol,
    slots: usize,
    now_s: f64,
    answer_s: f64,
    dead: Vec<bool>,
    /// When the cameras that were told to connect will answer.
    answers: Vec<Option<f64>>,
    online: Vec<bool>,
    connected: Vec<bool>,
    visited: Vec<bool>,
    /// Begin of each visit, per camera.
    begins: Vec<Vec<f64>>,
    /// When each was last let go.
    left: Vec<f64>,
    wait_s_max: Vec<f64>,
    visited_s: Vec<f64>,
    connected_max: usize,
    taken: Vec<(f64, usize)>,
    missed: Vec<(usize, Missed)>,
    polled_at: Option<f64>,
    events: Vec<Event>,
}

impl World {
    fn new(slots: usize, dwell_s: f64, connected: Connected, priorities: &[f64]) -> Self {
        let plan = PatrolPlan { slots, dwell_s, connected, connect_ahead_s: 5.0 };
        let members: Vec<(CameraId, f64)> = priorities.iter().enumerate().map(|(i, p)| (id(i), *p)).collect();
        let count = priorities.len();
        Self {
            patrol: Patrol::new(&plan, &members),
            slots,
            now_s: 100.0,
            answer_s: 2.0,
            dead: vec![false; count],
            answers: vec![None; count],
            online: vec![false; count],
            connected: vec![false; count],
            visited: vec![false; count],
            begins: vec![Vec::new(); count],
            left: vec![100.0; count],
            wait_s_max: vec![0.0; count],
            visited_s: vec![0.0; count],
            connected_max: 0,
            taken: Vec::new(),
            missed: Vec::new(),
            polled_at: None,
            events: Vec::new(),
        }
    }

    fn offline(&mut self, camera: usize) {
        self.dead[camera] = true;
        self.answers[camera] = None;
        if std::mem::take(&mut self.online[camera]) {
            self.events.push(Event::Offline(id(camera)));
        }
    }

    fn back(&mut self, camera: usize) {
        self.dead[camera] = false;
        if self.connected[camera] {
            self.answers[camera] = Some(self.now_s + self.answer_s);
        }
    }

    fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Connect(camera) => {
                    let i = index(&camera);
                    assert!(!std::mem::replace(&mut self.connected[i], true), "connected twice");
                    self.answers[i] = (!self.dead[i]).then_some(self.now_s + self.answer_s);
                }
                Change::Disconnect(camera) => {
                    let i = index(&camera);
                    assert!(std::mem::take(&mut self.connected[i]) && !self.visited[i]);
                    (self.online[i], self.answers[i]) = (false, None);
                }
                Change::Begin(camera) => {
                    let i = index(&camera);
                    assert!(!std::mem::replace(&mut self.visited[i], true), "begun twice");
                    assert!(self.online[i], "nobody there");
                    self.begins[i].push(self.now_s);
                    self.wait_s_max[i] = self.wait_s_max[i].max(self.now_s - self.left[i]);
                }
                Change::End(camera) => {
                    let i = index(&camera);
                    assert!(std::mem::take(&mut self.visited[i]), "ended twice");
                    self.left[i] = self.now_s;
                }
                Change::Take(camera) => {
                    assert!(self.online[index(&camera)]);
                    self.taken.push((self.now_s, index(&camera)));
                    self.events.push(Event::Taken(camera));
                }
                Change::Missed(camera, why) => self.missed.push((index(&camera), why)),
                Change::Polled => self.polled_at = Some(self.now_s),
            }
        }
        assert!(self.visited.iter().filter(|v| **v).count() <= self.slots);
        self.connected_max = self.connected_max.max(self.connected.iter().filter(|c| **c).count());
    }

    fn run(&mut self, seconds: f64) {
        let until = self.now_s + seconds;
        while self.now_s < until {
            for i in 0..self.answers.len() {
                if self.answers[i].is_some_and(|at| at <= self.now_s) {
                    (self.answers[i], self.online[i]) = (None, true);
                    self.events.push(Event::Online(id(i)));
                }
            }
            let events = std::mem::take(&mut self.events);
            let changes = self.patrol.step(s(self.now_s), &events);
            self.apply(changes);
            for (visited_s, visited) in self.visited_s.iter_mut().zip(&self.visited) {
                *visited_s += if *visited { TICK } else { 0.0 };
            }
            self.now_s += TICK;
        }
    }

    fn busy_s(&self) -> f64 {
        self.visited_s.iter().sum()
    }

    /// Seconds from visit to visit of all cameras, beginning with the given visit.
    fn intervals(&self, from: usize) -> Vec<f64> {
        let of_one =
            |begins: &Vec<f64>| begins.windows(2).skip(from).map(|w| w[1] - w[0]).collect::<Vec<_>>();
        self.begins.iter().flat_map(of_one).collect()
    }
}

#[test]
fn rounds_take_cameras_times_dwell_by_slots() {
    let check = |cameras: usize, slots: usize, dwell_s: f64, connected: Connected| {
        let name = format!("{cameras} cameras, {slots} slots, {dwell_s} s, {connected:?}");
        let mut world = World::new(slots, dwell_s, connected, &vec![1.0; cameras]);
        let round_s = cameras as f64 * dwell_s / slots as f64;
        assert_eq!(world.patrol.round(), s(round_s), "{name}");
        world.run(4.0 * round_s + 10.0);
        let intervals = world.intervals(0);
        assert!(intervals.len() >= 2 * cameras, "{name}");
        for interval in intervals {
            assert!((interval / round_s - 1.0).abs() <= 0.05, "{name}: {interval} instead of {round_s}");
        }
        if connected == Connected::Visits {
            let most = slots + 2 * (slots as f64 * 5.0 / dwell_s).ceil() as usize + slots;
            assert!(world.connected_max <= most, "{name}: {} connected at once", world.connected_max);
        }
    };
    check(1000, 16, 10.0, Connected::Always);
    check(1000, 16, 10.0, Connected::Visits);
    check(30, 4, 10.0, Connected::Always);
    check(30, 4, 10.0, Connected::Visits);
    check(7, 1, 5.0, Connected::Always);
    check(100, 3, 5.0, Connected::Visits);
}

#[test]
fn all_are_watched_where_there_is_room() {
    let mut world = World::new(4, 10.0, Connected::Always, &[1.0; 4]);
    world.run(200.0);
    assert!(world.begins.iter().all(|begins| begins.len() == 1), "visits that nobody waits for go on");
    assert!(world.visited.iter().all(|visited| *visited));
}

#[test]
fn priority_shortens_the_wait() {
    let mut priorities = vec![1.0; 40];
    priorities[7] = 4.0;
    let mut world = World::new(4, 10.0, Connected::Always, &priorities);
    world.run(2000.0);
    // Four times as often as the others, as far as those who wait at all are concerned.
    let visits = |i: usize| world.begins[i].len() as f64;
    let ratio = visits(7) / visits(8);
    assert!((3.0..=4.2).contains(&ratio), "{ratio}");
    let slowest = world.begins.iter().map(Vec::len).min().unwrap();
    assert!(slowest as f64 >= 0.85 * 2000.0 / 110.0, "{slowest}");
}

#[test]
fn who_is_away_blocks_nobody() {
    for connected in [Connected::Always, Connected::Visits] {
        let mut world = World::new(4, 10.0, connected, &[1.0; 40]);
        (20..40).for_each(|i| world.offline(i));
        world.run(1200.0);
        assert!(world.begins[20..].iter().all(Vec::is_empty));
        // Twenty that are there share four slots: a round is 50 s.
        let visits = world.begins[..20].iter().map(Vec::len).min().unwrap();
        assert!(visits >= 20, "{connected:?}: {visits} visits in 1200 s");
        let from_s = world.busy_s();
        world.run(600.0);
        let share = (world.busy_s() - from_s) / (4.0 * 600.0);
        assert!(share >= 0.95, "{connected:?}: slots are used for {share} of the time");
        // Back again, they are visited: at once where they are connected, else when they are tried again.
        (20..40).for_each(|i| world.back(i));
        world.run(if connected == Connected::Always { 60.0 } else { 700.0 });
        assert!(world.begins[20..].iter().all(|begins| !begins.is_empty()), "{connected:?}");
    }
}

#[test]
fn who_leaves_while_visited_gives_the_slot_back() {
    let mut world = World::new(1, 10.0, Connected::Always, &[1.0; 3]);
    world.run(15.0);
    let visited = world.visited.iter().position(|v| *v).unwrap();
    world.offline(visited);
    world.run(0.5);
    assert!(!world.visited[visited] && world.visited.contains(&true));
}

#[test]
fn urgent_cameras_get_a_quarter_at_most() {
    for connected in [Connected::Always, Connected::Visits] {
        let mut world = World::new(4, 10.0, connected, &[1.0; 100]);
        world.run(300.0);
        (0..30).for_each(|i| world.events.push(Event::Urgent(id(i), true)));
        let (from, from_s): (Vec<usize>, _) =
            (world.begins.iter().map(Vec::len).collect(), world.visited_s.clone());
        world.run(2000.0);
        let visits = |i: usize| world.begins[i].len() - from[i];
        // A round of the others takes at most four thirds of the 250 s.
        let least = (30..100).map(visits).min().unwrap();
        assert!(least >= 5, "{connected:?}: {least}");
        let watched_s = |from: usize, to: usize| -> f64 {
            (from..to).map(|i| world.visited_s[i] - from_s[i]).sum::<f64>() / (to - from) as f64
        };
        let (urgent_s, usual_s) = (watched_s(0, 30), watched_s(30, 100));
        assert!(urgent_s > 1.5 * usual_s, "{connected:?}: {urgent_s}, {usual_s}");
    }
    // One alone is watched on, as long as the quarter lasts, and comes again soon.
    let mut world = World::new(4, 10.0, Connected::Always, &[1.0; 100]);
    world.run(300.0);
    let from_s = world.busy_s();
    world.events.push(Event::Urgent(id(3), true));
    world.run(1000.0);
    assert!(world.begins[3].len() >= 10, "{:?}", world.begins[3]);
    assert!(world.busy_s() - from_s > 3990.0);
}

#[test]
fn a_poll_goes_before_and_the_patrol_goes_on() {
    for connected in [Connected::Always, Connected::Visits] {
        let mut world = World::new(16, 10.0, connected, &[1.0; 200]);
        world.run(300.0);
        let before: Vec<usize> = (0..200).filter(|i| world.visited[*i]).collect();
        world.offline(33);
        world.run(0.5);
        let asked: Vec<CameraId> = (20..70).chain([21, 999]).map(id).collect();
        let from_s = world.now_s;
        let changes = world.patrol.poll(&asked, s(world.now_s));
        world.apply(changes);
        assert!(!world.visited.contains(&true), "{connected:?}: visits are broken off");
        world.run(30.0);
        let answered: Vec<usize> = world.taken.iter().map(|(_, i)| *i).collect();
        let mut wanted: Vec<usize> = (20..70).filter(|i| *i != 33).collect();
        if connected == Connected::Always {
            assert_eq!(answered, wanted, "in the order asked");
            assert_eq!(world.missed, [(33, Missed::Offline)]);
        } else {
            let mut sorted = answered.clone();
            sorted.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(sorted, wanted);
        }
        assert!(world.polled_at.unwrap() - from_s <= 26.0, "{connected:?}");
        // What was broken off has gone on: nobody was visited anew in between.
        for i in before.into_iter().filter(|i| *i != 33) {
            assert!(world.begins[i].len() >= 2, "{connected:?}: {i}");
        }
        world.run(200.0);
        let slowest = world.begins.iter().enumerate().filter(|(i, _)| *i != 33).map(|(_, b)| b.len()).min();
        assert!(slowest.unwrap() >= 3, "{connected:?}");
    }
}

#[test]
fn a_poll_of_a_mute_camera_ends() {
    let mut world = World::new(2, 10.0, Connected::Always, &[1.0; 5]);
    world.run(20.0);
    let changes = world.patrol.poll(&[id(0), id(1), id(2)], s(world.now_s));
    world.events.clear();
    let answered: Vec<Change> = changes.iter().filter(|c| matches!(c, Change::Take(_))).cloned().collect();
    assert_eq!(answered, [Change::Take(id(0)), Change::Take(id(1))]);
    for change in changes {
        if let Change::End(camera) = change {
            world.visited[index(&camera)] = false;
        }
    }
    // Nobody takes anything.
    let mut missed = Vec::new();
    for _ in 0..120 {
        world.now_s += TICK;
        let changes = world.patrol.step(s(world.now_s), &[]);
        let over = changes.contains(&Change::Polled);
        missed.extend(changes.into_iter().filter_map(|change| match change {
            Change::Missed(camera, why) => Some((index(&camera), why)),
            _ => None,
        }));
        if over {
            break;
        }
    }
    assert_eq!(missed, [(0, Missed::NoPicture), (1, Missed::NoPicture), (2, Missed::NoPicture)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whoever is there is visited within the bound that the module states, whatever the others do.
    #[test]
    fn nobody_starves(
        slots in 1usize..6,
        dwell_s in 2.0f64..20.0,
        priorities in prop::collection::vec(0.1f64..10.0, 2..40),
        noise in prop::collection::vec((0usize..40, 0u8..4), 0..200),
        gaps in prop::collection::vec(1u8..12, 1..20),
    ) {
        let count = priorities.len();
        let mut world = World::new(slots, dwell_s, Connected::Always, &priorities);
        let mut noise = noise.into_iter().cycle();
        let mut gaps = gaps.into_iter().cycle();
        let sum: f64 = priorities.iter().sum();
        let bound_s = |p: f64| 2.0 * dwell_s + 8.0 / 3.0 * dwell_s / slots as f64 * (count as f64 + sum / p);
        // A slot is empty for at most a tick between visits, and the first credit is for free.
        let slack = 1.0 + 2.0 * TICK / dwell_s;
        let span_s = 3.0 * bound_s(priorities[0]);
        let until = world.now_s + span_s;
        while world.now_s < until {
            world.run(f64::from(gaps.next().unwrap()) * TICK);
            // The first camera is always there; the others come, go and hurry.
            if let Some((camera, what)) = noise.next() {
                let camera = camera % count;
                match what {
                    0 if camera > 0 => world.offline(camera),
                    1 if camera > 0 => world.back(camera),
                    2 => world.events.push(Event::Urgent(id(camera), true)),
                    _ => world.events.push(Event::Urgent(id(camera), false)),
                }
            }
        }
        let waited = world.wait_s_max[0].max(if world.visited[0] { 0.0 } else { world.now_s - world.left[0] });
        prop_assert!(waited <= bound_s(priorities[0]) * slack + 4.0, "{waited} > {}", bound_s(priorities[0]));
    }

    /// Any events in any order, with steps at any time: every change makes sense where it stands.
    #[test]
    fn any_events_are_survived(
        slots in 1usize..5,
        visits in any::<bool>(),
        steps in prop::collection::vec((0u32..40_000, 0usize..12, 0u8..7), 0..200),
    ) {
        let connected = if visits { Connected::Visits } else { Connected::Always };
        let plan = PatrolPlan { slots, dwell_s: 10.0, connected, connect_ahead_s: 5.0 };
        let members: Vec<(CameraId, f64)> = (0..10).map(|i| (id(i), 1.0)).collect();
        let mut patrol = Patrol::new(&plan, &members);
        let mut visited = [false; 10];
        let mut wanted = [false; 10];
        let mut now = Duration::ZERO;
        for (passed_ms, camera, what) in steps {
            now += Duration::from_millis(passed_ms.into());
            let camera = id(camera);
            let changes = match what {
                0 | 1 => patrol.step(now, &[Event::Online(camera)]),
                2 => patrol.step(now, &[Event::Offline(camera)]),
                3 => patrol.step(now, &[Event::Urgent(camera, passed_ms % 2 == 0)]),
                4 => patrol.step(now, &[Event::Taken(camera)]),
                5 => patrol.poll(&[camera, id(3), id(3), id(8)], now),
                _ => patrol.step(now, &[]),
            };
            for change in changes {
                match change {
                    Change::Connect(c) => prop_assert!(!std::mem::replace(&mut wanted[index(&c)], true)),
                    Change::Disconnect(c) => {
                        prop_assert!(std::mem::take(&mut wanted[index(&c)]));
                        prop_assert!(!visited[index(&c)]);
                    }
                    Change::Begin(c) => {
                        prop_assert!(wanted[index(&c)]);
                        prop_assert!(!std::mem::replace(&mut visited[index(&c)], true));
                    }
                    Change::End(c) => prop_assert!(std::mem::take(&mut visited[index(&c)])),
                    Change::Take(c) => prop_assert!(wanted[index(&c)]),
                    Change::Missed(..) | Change::Polled => {}
                }
            }
            prop_assert!(visited.iter().filter(|v| **v).count() <= slots);
        }
    }
}
