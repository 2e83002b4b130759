//! Something small falls through the zone.

use crate::config::{Facade, Rule};
use crate::frame::Captured;
use crate::geometry::Polygon;
use crate::observation::Trajectory;

use super::View;

/// A thrown object, once its path has been judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Fall {
    /// When it was first seen.
    pub first_seen: Captured,
    /// When it was last seen.
    pub last_seen: Captured,
    /// Its path.
    pub trajectory: Trajectory,
}

/// Judges whether something falls through a zone.
#[derive(Debug, Clone)]
pub struct ThrownObject {}

impl ThrownObject {
    /// A judge for one zone.
    pub fn new(_rule: &Rule, _zone: &Polygon, _facade: Option<&Facade>) -> Self {
        Self {}
    }

    /// Takes the movers of one picture; gives the falls that are now complete.
    pub fn look(&mut self, _view: &View) -> Vec<Fall> {
        Vec::new()
    }
}
