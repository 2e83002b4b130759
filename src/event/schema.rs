//! The contract as documents: a JSON Schema per message, and one AsyncAPI 3.0 document over all of them, generated
//! from the types. Committed copies live in `config/contract/`; `gridwatch schema --write config/contract` renews them.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::command::{
    ArmCommand, CommandReply, ConfirmViewCommand, DisarmCommand, RecheckCommand, ReloadCommand,
    SnapshotCommand,
};
use super::{
    CONTRACT, CameraStatus, IncidentEvent, NodeStatus, PollCommand, PollReply, RecheckEvent, Verdict,
    VerdictReply,
};

/// Names of the documents, as `gridwatch schema NAME` takes them.
pub const DOCUMENTS: [&str; 16] = [
    "incident",
    "node-status",
    "camera-status",
    "verdict",
    "verdict-reply",
    "poll-command",
    "poll-reply",
    "snapshot-command",
    "recheck-command",
    "recheck",
    "arm-command",
    "disarm-command",
    "reload-command",
    "confirm-view-command",
    "command-reply",
    "asyncapi",
];

/// File name of a document's committed copy.
pub fn file_name(document: &str) -> String {
    if document == "asyncapi" { "asyncapi.json".into() } else { format!("{document}.schema.json") }
}

/// A document by its name; `None` if there is none of that name.
pub fn document(name: &str) -> Option<Value> {
    Some(match name {
        "incident" => event::<IncidentEvent>(r"incident\.(opened|updated|closed)", "[1-9][0-9]*"),
        "node-status" => of::<NodeStatus>(),
        "camera-status" => of::<CameraStatus>(),
        "verdict" => of::<Verdict>(),
        "verdict-reply" => of::<VerdictReply>(),
        "poll-command" => of::<PollCommand>(),
        "poll-reply" => of::<PollReply>(),
        "snapshot-command" => of::<SnapshotCommand>(),
        "recheck-command" => of::<RecheckCommand>(),
        "recheck" => event::<RecheckEvent>("recheck", "recheck/[1-9][0-9]*"),
        "arm-command" => of::<ArmCommand>(),
        "disarm-command" => of::<DisarmCommand>(),
        "reload-command" => of::<ReloadCommand>(),
        "confirm-view-command" => of::<ConfirmViewCommand>(),
        "command-reply" => of::<CommandReply>(),
        "asyncapi" => asyncapi(),
        _ => return None,
    })
}

/// The text of a document as it is committed.
pub fn text(document: &Value) -> String {
    // `Value` cannot fail to be written.
    serde_json::to_string_pretty(document).unwrap_or_default() + "\n"
}

fn of<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}

/// An event's schema, with what CloudEvents and its kind fix.
fn event<T: JsonSchema>(kind: &str, number: &str) -> Value {
    let mut schema = of::<T>();
    for (field, fixed) in [
        ("specversion", json!({ "const": "1.0" })),
        ("datacontenttype", json!({ "const": "application/json" })),
        ("type", json!({ "pattern": format!(r"^cn\.gridwatch\.{kind}\.{CONTRACT}$") })),
        ("id", json!({ "pattern": format!("^[0-9a-f-]{{36}}/{number}$") })),
    ] {
        if let (Some(Value::Object(property)), Value::Object(fixed)) =
            (schema.pointer_mut(&format!("/properties/{field}")), fixed)
        {
            property.extend(fixed);
        }
    }
    schema
}

fn asyncapi() -> Value {
    let node = format!("{{root}}/{CONTRACT}/{{site}}/{{node}}");
    let node_parameters = json!({
        "root": { "description": "First part of every topic, `mqtt.root` of the config; may have several levels." },
        "site": { "description": "The street office or district, `node.site` of the config." },
        "node": { "description": "The box, `node.id` of the config; unique in its site." },
    });
    let parameters = |more: &[(&str, &str)]| {
        let mut all = node_parameters.clone();
        for (name, description) in more {
            all[*name] = json!({ "description": description });
        }
        all
    };
    let camera = ("camera", "The camera's id.");
    let channel = |address: String, description: &str, message: &str, parameters: Value| {
        json!({
            "address": address,
            "description": description,
            "messages": { message: { "$ref": format!("#/components/messages/{message}") } },
            "parameters": parameters,
        })
    };
    let schema = |document: &str| json!({ "$ref": format!("./{}", file_name(document)) });
    let operation = |action: &str, channel: &str, retain: bool, summary: &str| {
        json!({
            "action": action,
            "channel": { "$ref": format!("#/channels/{channel}") },
            "summary": summary,
            "bindings": { "mqtt": { "qos": 1, "retain": retain, "bindingVersion": "0.2.0" } },
        })
    };
    let mut document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "gridwatch",
            "version": CONTRACT,
            "description": "What an edge box tells the dispatch platform, and what it is told back. MQTT 3.1.1 or 5, \
                QoS 1: a message may come twice, with the same event id. Statements of one incident come in the order \
                of `seq`; pictures come before the statement that cites them.",
            "license": { "name": "Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "channels": {
            "nodeStatus": channel(
                format!("{node}/status"),
                "How the box is; the broker says `offline` for it when it vanishes (last will). A will whose `boot` is \
                 not that of the newest `online` is late and means nothing.",
                "nodeStatus",
                parameters(&[]),
            ),
            "cameraStatus": channel(
                format!("{node}/cameras/{{camera}}/status"),
                "How a camera's connection is; emptied when the camera is taken out of the config.",
                "cameraStatus",
                parameters(&[camera]),
            ),
            "incident": channel(
                format!("{node}/cameras/{{camera}}/incidents/{{kind}}"),
                "Incidents, each opened once, updated when there is news, and always closed with a reason.",
                "incident",
                parameters(&[camera, ("kind", "The scenario's id, such as `fire_lane`.")]),
            ),
            "evidence": channel(
                format!("{node}/cameras/{{camera}}/evidence/{{incident}}/{{file}}"),
                "A picture; the incident cites it by topic and SHA-256.",
                "evidence",
                parameters(&[
                    camera,
                    ("incident", "The incident's id."),
                    ("file", "`<n>.jpg`, n counting from 1; `recheck-<number>-<n>.jpg` for a re-check."),
                ]),
            ),
            "verdict": channel(
                format!("{node}/verdict/{{incident}}"),
                "What the platform decided about an incident. The box keeps its session, so the broker keeps what \
                 comes while it is away; retained verdicts are read too. The same verdict again counts once. \
                 `resolved` asks for a re-check, `false_alarm` closes the incident and quiets that place and cause for the rule's `quiet_s`, whether or \
                 not the incident was open; `ignored` stops its level from rising; the last verdict counts.",
                "verdict",
                parameters(&[("incident", "The incident's id.")]),
            ),
            "verdictReply": channel(
                format!("{node}/reply/verdict"),
                "Says for each verdict what became of it, once it is on disk.",
                "verdictReply",
                parameters(&[]),
            ),
            "recheck": channel(
                format!("{node}/cameras/{{camera}}/rechecks/{{incident}}"),
                "What the camera saw when it looked again at the place of an incident, after the verdict `resolved` or a \
                 command. Like incidents: kept until the broker has it, its pictures before it.",
                "recheck",
                parameters(&[camera, ("incident", "The incident's id.")]),
            ),
            "commandSnapshot": channel(
                format!("{node}/command/snapshot"),
                "Asks for one fresh picture of a camera; takes its turn among the polls.",
                "commandSnapshot",
                parameters(&[]),
            ),
            "replySnapshot": channel(
                format!("{node}/reply/snapshot"),
                "As for a poll of one camera.",
                "pollReply",
                parameters(&[]),
            ),
            "pollCommand": channel(
                format!("{node}/command/poll"),
                "Asks for one fresh picture of each camera of a group, or of those named. Not to be retained. One poll runs, \
                 four may wait; the same id again is the same poll, of which only the last word comes again.",
                "pollCommand",
                parameters(&[]),
            ),
            "pollReply": channel(
                format!("{node}/reply/poll"),
                "One message for each camera as it comes, then one that says `done`; or only one, with `refused`. Within \
                 half a minute after the poll's turn came.",
                "pollReply",
                parameters(&[]),
            ),
            "polled": channel(
                format!("{node}/cameras/{{camera}}/polled/{{poll}}.jpg"),
                "A picture for a poll; the reply cites it by topic and SHA-256.",
                "polled",
                parameters(&[camera, ("poll", "The poll's id.")]),
            ),
        },
        "operations": {
            "sayNodeStatus": operation("send", "nodeStatus", true, "Tells how the box is."),
            "sayCameraStatus": operation("send", "cameraStatus", true, "Tells how a camera is."),
            "sayIncident": operation("send", "incident", false, "Makes a statement about an incident."),
            "sendEvidence": operation("send", "evidence", false, "Sends a picture."),
            "sayRecheck": operation("send", "recheck", false, "Tells what a re-check saw."),
            "takeSnapshot": operation("receive", "commandSnapshot", false, "Takes the command to send a picture."),
            "saySnapshotReply": operation("send", "replySnapshot", false, "Answers it."),
            "takePollCommand": operation("receive", "pollCommand", false, "Takes the command to poll cameras."),
            "sayPollReply": operation("send", "pollReply", false, "Answers a poll."),
            "sendPolled": operation("send", "polled", false, "Sends a picture for a poll."),
            "takeVerdict": operation("receive", "verdict", false, "Takes the platform's verdict."),
            "sayVerdictReply": operation("send", "verdictReply", false, "Acknowledges a verdict."),
        },
        "components": { "messages": {
            "nodeStatus": { "title": "Node status", "payload": schema("node-status") },
            "cameraStatus": { "title": "Camera status", "payload": schema("camera-status") },
            "incident": {
                "title": "Incident",
                "summary": "A CloudEvents 1.0 event in structured JSON mode.",
                "payload": schema("incident"),
            },
            "evidence": { "title": "Picture", "contentType": "image/jpeg" },
            "verdict": { "title": "Verdict", "payload": schema("verdict") },
            "verdictReply": { "title": "Acknowledgement of a verdict", "payload": schema("verdict-reply") },
            "recheck": { "title": "Re-check", "payload": schema("recheck") },
            "commandSnapshot": { "title": "Snapshot", "payload": schema("snapshot-command") },
            "commandReply": { "title": "Reply to a command", "payload": schema("command-reply") },
            "pollCommand": { "title": "Poll", "payload": schema("poll-command") },
            "pollReply": { "title": "Reply to a poll", "payload": schema("poll-reply") },
            "polled": { "title": "Picture for a poll", "contentType": "image/jpeg" },
        } },
    });
    // The commands that are answered alike.
    for (name, does, asks) in [
        ("recheck", "Recheck", "Looks again at the place of an incident; what it sees comes at `rechecks`."),
        ("arm", "Arm", "Watches zones again that were disarmed."),
        (
            "disarm",
            "Disarm",
            "Closes what is open in these zones, and opens nothing there until they are armed or the time is over.",
        ),
        (
            "reload",
            "Reload",
            "Reads the config's files anew: `accepted` first, then `done` or `refused`; the node's status says more.",
        ),
        (
            "confirm-view",
            "ConfirmView",
            "A camera that was moved looks where it shall; its zones are watched again.",
        ),
    ] {
        let (command, reply) = (format!("{name}-command"), format!("reply{does}"));
        let ask = format!("command{does}");
        let said = format!("{asks} Not to be retained; each name so many times a minute, then `busy`.");
        document["channels"][&ask] = channel(format!("{node}/command/{name}"), &said, &ask, parameters(&[]));
        document["channels"][&reply] = channel(
            format!("{node}/reply/{name}"),
            "What became of the command; said again if the command comes again, also after a restart (the newest 4,000 are remembered).",
            "commandReply",
            parameters(&[]),
        );
        document["operations"][format!("take{does}")] = operation("receive", &ask, false, asks);
        document["operations"][format!("say{does}Reply")] =
            operation("send", &reply, false, "Answers the command.");
        document["components"]["messages"][&ask] = json!({ "title": does, "payload": schema(&command) });
    }
    document
}
