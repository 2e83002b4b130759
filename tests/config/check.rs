//! `gridwatch check` as the operator runs it.

use std::process::Command;

use crate::{CAMERA, NODE, Site, ZONE};

/// Exit code and output, with the directory and the revision left out.
fn check(site: &Site, more: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gridwatch"));
    let output = command.arg("check").args(more).arg(site.path("gridwatch.toml")).output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    // The directory's path with a slash at its end.
    let text = text.replace(&site.path("").display().to_string(), "");
    let revision = text.split("(revision ").nth(1).and_then(|rest| rest.split(')').next()).map(str::to_owned);
    (output.status.code().unwrap(), revision.map_or(text.clone(), |revision| text.replace(&revision, "…")))
}

#[test]
fn the_exit_code_says_how_bad_it_is() {
    let typo = CAMERA.replace("gate", "back").replace("url", "ulr");
    let cases = [
        (
            format!("{NODE}{CAMERA}{ZONE}[mqtt]\nhost = \"10.0.0.5\"\n"),
            0,
            "0 errors, 0 warnings: 1 camera runs with 1 zone, 0 disabled (revision …)\n",
        ),
        (
            format!("{NODE}{CAMERA}{typo}{ZONE}"),
            1,
            "gridwatch.toml:9:1: error: [[camera]] has no `url`\n  \
             hint: `url`: Its stream, such as `rtsp://10.1.2.3/Streaming/Channels/102`\n\
             gridwatch.toml:11:1: error: unknown key `ulr`\n  hint: did you mean `url`?\n\
             2 errors, 0 warnings: 1 camera runs with 1 zone, 1 disabled (revision …)\n\
             no [mqtt]: incidents stay on this box\n",
        ),
        (
            format!("{CAMERA}{ZONE}"),
            2,
            "gridwatch.toml:1:1: error: the table `[node]` is missing\n  \
             hint: begin with `[node]`, `site = \"…\"` and `id = \"…\"`\n\
             1 error, 0 warnings: gridwatch does not start with this config\n",
        ),
    ];
    for (text, code, said) in cases {
        let site = Site::new(&[("gridwatch.toml", text.as_bytes())]);
        assert_eq!(check(&site, &[]), (code, said.to_owned()));
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let (code, said) = check(&Site::new(&[]), &[]);
    assert_ne!(code, 0);
    assert!(said.contains("cannot read the config file") && said.contains("there is no such file"), "{said}");
}

#[test]
fn json_holds_the_same() {
    let site = Site::new(&[("gridwatch.toml", format!("{NODE}{CAMERA}{CAMERA}{ZONE}").as_bytes())]);
    let (code, said) = check(&site, &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (code, &json["config"]["cameras"][0], &json["config"]["disabled"][0]["id"]),
        (1, &"gate".into(), &"gate.2".into())
    );
    let problem = &json["problems"][0];
    assert_eq!((&problem["line"], &problem["severity"]), (&10.into(), &"error".into()));
    assert_eq!(problem["scope"], serde_json::json!({"camera": "gate.2"}));
}
