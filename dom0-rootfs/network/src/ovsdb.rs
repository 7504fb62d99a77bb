// SPDX-License-Identifier: MIT OR Apache-2.0
//! Open vSwitch's database, asked directly (RFC 7047): a guest's start waits for it, and `ovs-vsctl` takes
//! many times as long to be loaded as the database takes to answer.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// The database of ovs-vswitchd.conf.db(5).
const DATABASE: &str = "Open_vSwitch";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a `wait` operation waits, in milliseconds: it says so itself before [`PATIENCE`] is over.
const WAIT: u64 = 25_000;
/// An answer that is longer is none to our questions, in bytes.
const LONGEST: u64 = 16 << 20;

/// Rows of a table, each a map of its columns.
pub(crate) type Rows = Vec<Value>;

/// Performs operations (RFC 7047, section 5.2), all or none, on the database behind a socket. Returns what
/// each answers, or why not.
///
/// # Errors
/// The database does not answer, or refuses.
pub fn transact(socket: &Path, operations: &[Value]) -> Result<Vec<Value>, String> {
    let at = |error: std::io::Error| format!("{}: {error}", socket.display());
    let mut stream = UnixStream::connect(socket).map_err(at)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(at)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(at)?;
    let mut params = vec![Value::from(DATABASE)];
    params.extend_from_slice(operations);
    send(&mut stream, &json!({"method": "transact", "params": params, "id": 0})).map_err(at)?;
    let reader = stream.try_clone().map_err(at)?.take(LONGEST);
    for message in serde_json::Deserializer::from_reader(reader).into_iter::<Value>() {
        let message = message.map_err(|error| format!("{}: {error}", socket.display()))?;
        if message["method"] == "echo" {
            let alive = json!({"result": message["params"], "error": null, "id": message["id"]});
            send(&mut stream, &alive).map_err(at)?;
        } else if message["id"] == 0 {
            return results(message, operations.len());
        }
    }
    Err(format!("{}: the connection ended", socket.display()))
}

fn send(stream: &mut UnixStream, message: &Value) -> std::io::Result<()> {
    stream.write_all(message.to_string().as_bytes())
}

/// What the operations answer. One that fails has an `error`, those after it are null, and what is wrong
/// with all of them together comes after the last one.
fn results(mut message: Value, count: usize) -> Result<Vec<Value>, String> {
    let Value::Array(results) = message["result"].take() else {
        return Err(format!("the database answers {}", message["error"]));
    };
    if let Some(failed) = results.iter().find(|result| !result["error"].is_null()) {
        let details = failed["details"].as_str().unwrap_or_default();
        let error = failed["error"].as_str().unwrap_or_default();
        return Err(format!("{error}: {details}"));
    }
    match results.len() == count && !results.contains(&Value::Null) {
        true => Ok(results),
        false => Err("the database does not answer every operation".to_owned()),
    }
}

/// Asks for columns of the rows for which all conditions hold.
pub(crate) fn select(table: &str, conditions: Value, columns: &[&str]) -> Value {
    json!({"op": "select", "table": table, "where": conditions, "columns": columns})
}

/// Waits until a column of the rows for which the conditions hold has any value.
pub(crate) fn wait_for_any(table: &str, conditions: Value, column: &str) -> Value {
    json!({
        "op": "wait", "table": table, "where": conditions, "columns": [column],
        "until": "!=", "rows": [{column: ["set", []]}], "timeout": WAIT,
    })
}

/// The rows that a [`select`] answers.
pub(crate) fn rows(result: &mut Value) -> Rows {
    match result["rows"].take() {
        Value::Array(rows) => rows,
        _ => Vec::new(),
    }
}

/// A map as the database takes it.
pub(crate) fn map<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    let pairs: Vec<_> = entries.into_iter().map(|(key, value)| json!([key, value])).collect();
    json!(["map", pairs])
}

/// The entries of a map of texts.
pub(crate) fn entries(value: &Value) -> BTreeMap<&str, &str> {
    let pairs = value[1].as_array().filter(|_| value[0] == "map");
    let texts = pairs.into_iter().flatten();
    texts.filter_map(|pair| Some((pair[0].as_str()?, pair[1].as_str()?))).collect()
}

/// The members of a set, which is written without brackets if it has one.
pub(crate) fn members(value: &Value) -> Vec<&Value> {
    match value[1].as_array().filter(|_| value[0] == "set") {
        Some(members) => members.iter().collect(),
        None => vec![value],
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// What a database that says `answer` is understood as, and what it was asked.
    fn asked(answer: &'static str) -> (Result<Vec<Value>, String>, Value) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("db.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = serde_json::Deserializer::from_reader(stream.try_clone().unwrap())
                .into_iter::<Value>();
            let question = asked.next().unwrap().unwrap();
            stream.write_all(br#"{"method":"echo","params":["x"],"id":"echo"}"#).unwrap();
            let echo = asked.next().unwrap().unwrap();
            assert_eq!(echo, json!({"result": ["x"], "error": null, "id": "echo"}));
            stream.write_all(answer.as_bytes()).unwrap();
            question
        });
        let operations = [select("Port", json!([["name", "==", "p"]]), &["tag"])];
        let result = transact(&socket, &operations);
        (result, server.join().unwrap())
    }

    #[test]
    fn an_answer_is_found_among_other_messages() {
        let (result, question) = asked(r#"{"id":0,"error":null,"result":[{"rows":[{"tag":7}]}]}"#);
        assert_eq!(rows(&mut result.unwrap()[0]), [json!({"tag": 7})]);
        let select = json!({
            "op": "select", "table": "Port", "where": [["name", "==", "p"]], "columns": ["tag"],
        });
        let expected = json!({"method": "transact", "params": ["Open_vSwitch", select], "id": 0});
        assert_eq!(question, expected);
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for (answer, expected) in [
            (r#"{"id":0,"error":"unknown database","result":null}"#, "unknown database"),
            (
                r#"{"id":0,"result":[{"error":"timed out","details":"\"wait\" timed out"}]}"#,
                "timed out: \"wait\" timed out",
            ),
            (
                r#"{"id":0,"result":[{},{"error":"constraint violation","details":"twice"}]}"#,
                "constraint violation: twice",
            ),
            (r#"{"id":0,"result":[null]}"#, "does not answer every operation"),
            (r#"{"id":0,"result":[]}"#, "does not answer every operation"),
            (r#"{"id":1,"result":[{}]}"#, "the connection ended"),
            ("{", "EOF"),
            ("", "the connection ended"),
        ] {
            let error = asked(answer).0.unwrap_err();
            assert!(error.contains(expected), "{answer}: {error}");
        }
        let missing = transact(Path::new("/nonexistent/db.sock"), &[]).unwrap_err();
        assert!(missing.starts_with("/nonexistent/db.sock: "), "{missing}");
    }

    #[test]
    fn maps_and_sets() {
        let written = map([("a", "1"), ("b", "2")]);
        assert_eq!(written, json!(["map", [["a", "1"], ["b", "2"]]]));
        assert_eq!(entries(&written), BTreeMap::from([("a", "1"), ("b", "2")]));
        assert!(entries(&json!("a")).is_empty());
        assert_eq!(members(&json!(["set", [1, 2]])), [&json!(1), &json!(2)]);
        assert_eq!(members(&json!(["uuid", "u"])), [&json!(["uuid", "u"])]);
        assert!(members(&json!(["set", []])).is_empty());
    }
}
