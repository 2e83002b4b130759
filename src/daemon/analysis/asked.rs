//! Pictures that somebody asked for: polls, snapshots and re-checks.

use super::{Analysis, Looked, Wanted, persons};
use crate::daemon::intake::{Asked, Polled};
use crate::decode::KeyDecoder;
use crate::event::EvidenceRef;
use crate::evidence::{self, Class};
use crate::frame::{AccessUnit, Captured};
use crate::observation::{Observation, Stage, ZoneId};

impl Analysis {
    /// Answers with the picture of a key unit.
    pub(super) fn answer(
        &mut self,
        unit: &AccessUnit,
        asked: Asked,
        keys: &mut KeyDecoder,
        looked: &mut dyn FnMut(Looked<'_>),
    ) {
        let camera = self.camera.id.clone();
        let answer = match asked.zone {
            None => Polled { camera, picture: self.polled(unit, keys), zone: None },
            Some(zone) => {
                let (picture, present) = self.recheck(unit, &zone, keys, looked);
                Polled { camera, picture, zone: Some((zone, present)) }
            }
        };
        // Whoever asked may have given up.
        let _ = asked.to.send(answer);
    }

    /// One picture for a poll: masked, persons made unrecognisable.
    fn polled(&mut self, unit: &AccessUnit, keys: &mut KeyDecoder) -> Option<(Captured, EvidenceRef)> {
        let picture = keys.decode(unit).map_err(|error| self.undecodable(&error)).ok()?;
        self.counts.decoded += 1;
        let picture = evidence::mask::apply(picture, &self.camera.masks);
        let objects = self.detect(&picture).unwrap_or_default();
        let kept = self.desk.view(Class::Asked, &self.camera.id, &picture, &persons(&objects, 0.0));
        kept.map(|evidence| (picture.captured, evidence))
    }

    /// Looks at a key picture because somebody wants to know how a zone is: the picture with the zone drawn, and whether
    /// something is there.
    fn recheck(
        &mut self,
        unit: &AccessUnit,
        zone: &ZoneId,
        keys: &mut KeyDecoder,
        looked: &mut dyn FnMut(Looked<'_>),
    ) -> (Option<(Captured, EvidenceRef)>, Option<bool>) {
        let Ok(picture) = keys.decode(unit).map_err(|error| self.undecodable(&error)) else {
            return (None, None);
        };
        let at = picture.captured;
        // What was looked at already, or something later, was seen with its own eyes.
        if self.looked.is_none_or(|last| last < at.media) {
            self.look(picture.clone(), Wanted::ByAll { key: true }, looked);
        }
        let picture = evidence::mask::apply(picture, &self.camera.masks);
        let (Some(zone), Some(state)) =
            (self.zone(zone), self.scene.states().into_iter().find(|state| state.zone == *zone))
        else {
            return (None, None);
        };
        let persons = persons(&self.detect(&picture).unwrap_or_default(), 0.0);
        let seen = Observation {
            zone: zone.id.clone(),
            stage: if state.present { Stage::Confirmed } else { Stage::Cleared },
            first_seen: at,
            confirmed_at: None,
            last_seen: at,
            at,
            dwell_s: state.dwell_s,
            unseen_s: 0.0,
            coverage: state.coverage,
            objects: if state.present { state.objects } else { Vec::new() },
            trajectory: None,
        };
        let shown = self.desk.snapshot(&self.camera, &zone, &seen, &picture, &persons);
        // What cannot be believed tells nothing.
        (shown.map(|evidence| (at, evidence)), self.doubt.is_none().then_some(state.present))
    }
}
