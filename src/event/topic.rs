//! The topic tree: where each message lives.
//!
//! ```text
//! <root>/v1/<site>/<node>/status
//! <root>/v1/<site>/<node>/cameras/<camera>/status
//! <root>/v1/<site>/<node>/cameras/<camera>/incidents/<kind>
//! <root>/v1/<site>/<node>/cameras/<camera>/evidence/<incident>/<n>.jpg
//! <root>/v1/<site>/<node>/cameras/<camera>/rechecks/<incident>
//! <root>/v1/<site>/<node>/cameras/<camera>/polled/<poll>.jpg
//! <root>/v1/<site>/<node>/verdict/<incident>
//! <root>/v1/<site>/<node>/reply/verdict
//! <root>/v1/<site>/<node>/command/<name>
//! <root>/v1/<site>/<node>/reply/<name>
//! ```

use std::fmt::Write;

use uuid::Uuid;

use super::CONTRACT;
use super::command::CommandName;
use crate::frame::CameraId;

/// A part of the config that cannot be part of a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` cannot be the {part} of a topic: {why}")]
pub struct TopicError {
    /// Which part: `root`, `site` or `node`.
    pub part: &'static str,
    /// What the config says.
    pub value: String,
    /// Why it cannot be used.
    pub why: &'static str,
}

/// The topics of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// `<root>/v1/<site>/<node>`.
    base: String,
}

impl Topics {
    /// The tree of node `node` at `site` under `root` (which alone may have several levels, `city/district`).
    pub fn new(root: &str, site: &str, node: &str) -> Result<Self, TopicError> {
        for level in root.split('/') {
            check("root", root, level)?;
        }
        if root.starts_with('$') {
            let why = "topics that begin with `$` belong to the broker (MQTT 3.1.1 section 4.7.2)";
            return Err(TopicError { part: "root", value: root.to_owned(), why });
        }
        check("site", site, site)?;
        check("node", node, node)?;
        Ok(Self { base: format!("{root}/{CONTRACT}/{site}/{node}") })
    }

    /// Retained status of the node, and its last will.
    pub fn node_status(&self) -> String {
        format!("{}/status", self.base)
    }

    /// Retained status of a camera.
    pub fn camera_status(&self, camera: &CameraId) -> String {
        format!("{}/cameras/{}/status", self.base, segment(camera.as_str()))
    }

    /// Filter for the statuses of all cameras of this node.
    pub fn camera_statuses(&self) -> String {
        format!("{}/cameras/+/status", self.base)
    }

    /// The camera that a status's topic names; `None` for any other topic.
    pub fn camera_of_status(&self, topic: &str) -> Option<CameraId> {
        let level = topic.strip_prefix(&self.base)?.strip_prefix("/cameras/")?.strip_suffix("/status")?;
        // An encoded id names no camera of a config; it is only compared.
        (!level.contains('/')).then(|| CameraId::from(level))
    }

    /// Statements about incidents of a kind.
    pub fn incident(&self, camera: &CameraId, kind: &str) -> String {
        format!("{}/cameras/{}/incidents/{}", self.base, segment(camera.as_str()), segment(kind))
    }

    /// The `n`-th picture of an incident, counted from 1.
    pub fn evidence(&self, camera: &CameraId, incident: Uuid, n: usize) -> String {
        format!("{}/cameras/{}/evidence/{incident}/{n}.jpg", self.base, segment(camera.as_str()))
    }

    /// Filter for all verdicts of the platform.
    pub fn verdicts(&self) -> String {
        format!("{}/verdict/+", self.base)
    }

    /// Where verdicts are acknowledged.
    pub fn verdict_reply(&self) -> String {
        format!("{}/reply/verdict", self.base)
    }

    /// Where a command is given.
    pub fn command(&self, name: CommandName) -> String {
        format!("{}/command/{}", self.base, name.as_str())
    }

    /// Filter for all commands.
    pub fn commands(&self) -> String {
        format!("{}/command/+", self.base)
    }

    /// The command that a topic names: `Some(None)` if there is none of that name, `None` for any other topic.
    pub fn command_of(&self, topic: &str) -> Option<Option<CommandName>> {
        let name = topic.strip_prefix(&self.base)?.strip_prefix("/command/")?;
        Some(CommandName::ALL.into_iter().find(|known| known.as_str() == name))
    }

    /// Where a command is answered.
    pub fn reply(&self, name: CommandName) -> String {
        format!("{}/reply/{}", self.base, name.as_str())
    }

    /// What a re-check of an incident came to.
    pub fn recheck(&self, camera: &CameraId, incident: Uuid) -> String {
        format!("{}/cameras/{}/rechecks/{incident}", self.base, segment(camera.as_str()))
    }

    /// The `n`-th picture of the re-check of this number, counted from 1.
    pub fn recheck_evidence(&self, camera: &CameraId, incident: Uuid, recheck: i64, n: usize) -> String {
        let camera = segment(camera.as_str());
        format!("{}/cameras/{camera}/evidence/{incident}/recheck-{recheck}-{n}.jpg", self.base)
    }

    /// A camera's picture for a poll.
    pub fn polled(&self, camera: &CameraId, poll: &str) -> String {
        format!("{}/cameras/{}/polled/{}.jpg", self.base, segment(camera.as_str()), segment(poll))
    }

    /// The incident that a verdict's topic names; `None` for any other topic.
    pub fn verdict_of(&self, topic: &str) -> Option<Uuid> {
        topic.strip_prefix(&self.base)?.strip_prefix("/verdict/")?.parse().ok()
    }
}

/// Filters for everything that watchers of a root print: incidents, node and camera statuses of all its nodes.
pub fn watch_filters(root: &str) -> [String; 3] {
    let nodes = format!("{root}/{CONTRACT}/+/+");
    [format!("{nodes}/cameras/+/incidents/+"), format!("{nodes}/cameras/+/status"), format!("{nodes}/status")]
}

fn check(part: &'static str, value: &str, level: &str) -> Result<(), TopicError> {
    let why = if level.is_empty() {
        "a level is empty"
    } else if level.len() > 128 {
        "a level is longer than 128 bytes"
    } else if level.contains(['/', '+', '#']) {
        "`/`, `+` and `#` mean something else in topics"
    } else if level.chars().any(char::is_control) {
        "it has control characters"
    } else {
        return Ok(());
    };
    Err(TopicError { part, value: value.to_owned(), why })
}

/// Makes one level out of any id: what would split the topic or act as a wildcard is written `%XX`, so two ids never
/// share a topic. Ids that passed the config's check come through unchanged.
pub(super) fn segment(id: &str) -> String {
    let mut out = String::with_capacity(id.len());
    for c in id.chars() {
        if c.is_control() || matches!(c, '/' | '+' | '#' | '%') {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(out, "%{byte:02X}"); // Writing into a `String` cannot fail.
            }
        } else {
            out.push(c);
        }
    }
    if out.is_empty() { "%".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_the_contract() {
        let topics = Topics::new("city/grid", "yuhua", "box-1").expect("valid");
        let incident: Uuid = "01939e6a-0000-7000-8000-000000000001".parse().expect("a uuid");
        let camera = CameraId::from("gate.1");
        for (got, want) in [
            (topics.node_status(), "city/grid/v1/yuhua/box-1/status"),
            (topics.camera_status(&camera), "city/grid/v1/yuhua/box-1/cameras/gate.1/status"),
            (
                topics.incident(&camera, "fire_lane"),
                "city/grid/v1/yuhua/box-1/cameras/gate.1/incidents/fire_lane",
            ),
            (
                topics.evidence(&camera, incident, 2),
                "city/grid/v1/yuhua/box-1/cameras/gate.1/evidence/01939e6a-0000-7000-8000-000000000001/2.jpg",
            ),
            (topics.verdicts(), "city/grid/v1/yuhua/box-1/verdict/+"),
            (topics.verdict_reply(), "city/grid/v1/yuhua/box-1/reply/verdict"),
            (topics.command(CommandName::Poll), "city/grid/v1/yuhua/box-1/command/poll"),
            (topics.reply(CommandName::ConfirmView), "city/grid/v1/yuhua/box-1/reply/confirm-view"),
            (
                topics.recheck(&camera, incident),
                "city/grid/v1/yuhua/box-1/cameras/gate.1/rechecks/01939e6a-0000-7000-8000-000000000001",
            ),
            (topics.polled(&camera, "7/+"), "city/grid/v1/yuhua/box-1/cameras/gate.1/polled/7%2F%2B.jpg"),
        ] {
            assert_eq!(got, want);
        }
        assert_eq!(topics.camera_of_status(&topics.camera_status(&camera)), Some(camera.clone()));
        assert_eq!(topics.camera_of_status(&topics.incident(&camera, "status")), None);
        assert_eq!(topics.camera_of_status(&topics.node_status()), None);
        let verdict = "city/grid/v1/yuhua/box-1/verdict/01939e6a-0000-7000-8000-000000000001";
        assert_eq!(topics.verdict_of(verdict), Some(incident));
        for other in ["", "city/grid/v1/yuhua/box-1/verdict/x", "city/grid/v1/yuhua/box-2/verdict/x", "城"] {
            assert_eq!(topics.verdict_of(other), None, "{other}");
        }
    }

    #[test]
    fn commands_are_known_by_name() {
        let topics = Topics::new("city", "yuhua", "box-1").expect("valid");
        for name in CommandName::ALL {
            assert_eq!(topics.command_of(&topics.command(name)), Some(Some(name)));
        }
        assert_eq!(topics.command_of("city/v1/yuhua/box-1/command/format"), Some(None));
        for other in ["", "city/v1/yuhua/box-1/reply/poll", "city/v1/yuhua/box-2/command/poll"] {
            assert_eq!(topics.command_of(other), None, "{other}");
        }
    }

    #[test]
    fn parts_that_would_break_the_tree_are_refused() {
        for (root, site, node) in [
            ("", "s", "n"),
            ("a//b", "s", "n"),
            ("$SYS", "s", "n"),
            ("a", "s/t", "n"),
            ("a", "+", "n"),
            ("a", "s", "#"),
            ("a", "s", "n\n"),
            ("a", "s", ""),
        ] {
            assert!(Topics::new(root, site, node).is_err(), "{root:?} {site:?} {node:?}");
        }
    }

    #[test]
    fn ids_cannot_leave_their_level() {
        for (id, want) in
            [("a/b", "a%2Fb"), ("+", "%2B"), ("#", "%23"), ("%2F", "%252F"), ("", "%"), ("路口", "路口")]
        {
            assert_eq!(segment(id), want);
        }
    }
}
