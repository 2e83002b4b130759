//! The committed documents of the contract are what the types say.

use std::path::Path;

use gridwatch::event::schema;

#[test]
fn committed_documents_are_current() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/contract");
    for name in schema::DOCUMENTS {
        let path = dir.join(schema::file_name(name));
        let want = schema::text(&schema::document(name).expect("a document"));
        let got = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            got == want,
            "`{}` is out of date; renew it: cargo run -- schema --write config/contract",
            path.display()
        );
    }
}

/// Every reference of the AsyncAPI document leads somewhere.
#[test]
fn asyncapi_references_resolve() {
    let document = schema::document("asyncapi").expect("a document");
    let mut open = vec![&document];
    let mut seen = 0;
    while let Some(value) = open.pop() {
        match value {
            serde_json::Value::Object(map) => {
                if let Some(reference) = map.get("$ref").and_then(|r| r.as_str()) {
                    seen += 1;
                    match reference.split_once('#') {
                        Some(("", pointer)) => assert!(document.pointer(pointer).is_some(), "{reference}"),
                        _ => assert!(
                            schema::DOCUMENTS
                                .iter()
                                .any(|d| reference == format!("./{}", schema::file_name(d))),
                            "{reference}"
                        ),
                    }
                }
                open.extend(map.values());
            }
            serde_json::Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    assert!(seen >= 14, "{seen}");
}
