// SPDX-License-Identifier: MIT OR Apache-2.0
//! One command to a program of QEMU, by its Machine Protocol: lines of JSON over a Unix socket.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::StorageError;
use crate::program::io;

/// How long an answer, or what is waited for after it, may take. A command waits for requests that are
/// under way, and a server may take its time over them.
const PATIENCE: Duration = Duration::from_secs(120);

/// What ends a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until<'a> {
    /// Its answer.
    Answered,
    /// The end of a job, whatever became of it.
    Concluded(&'a str),
    /// The end of the program.
    Gone,
}

/// Runs a command and returns what it answers; none if nobody listens at the socket.
pub(crate) fn run(
    socket: &Path,
    command: &str,
    arguments: &Value,
    until: Until<'_>,
) -> Result<Option<Value>, StorageError> {
    let doing = || format!("{command} by {}", socket.display());
    let stream = match UnixStream::connect(socket) {
        Ok(stream) => stream,
        Err(error)
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(io(doing())(error)),
    };
    stream.set_read_timeout(Some(PATIENCE)).map_err(io(doing()))?;
    talk(&stream, command, arguments, until)
        .map_err(|detail| StorageError::Failed { doing: doing(), detail })
}

fn talk(
    stream: &UnixStream,
    command: &str,
    arguments: &Value,
    until: Until<'_>,
) -> Result<Option<Value>, String> {
    let mut lines = BufReader::new(stream);
    // Who is just ending may still be called, and says nothing any more.
    let Some(greeting) = line(&mut lines)? else { return Ok(None) };
    greeting.get("QMP").ok_or_else(|| format!("it said {greeting}"))?;
    say(stream, &json!({ "execute": "qmp_capabilities" }))?;
    answer(&mut lines, until)?;
    say(stream, &json!({ "execute": command, "arguments": arguments }))?;
    let (value, seen) = answer(&mut lines, until)?;
    if seen || until == Until::Answered {
        return Ok(Some(value));
    }
    loop {
        match (line(&mut lines)?, until) {
            (None, Until::Gone) => return Ok(Some(value)),
            (None, _) => return Err("it ended".to_owned()),
            (Some(event), Until::Concluded(job)) if concludes(&event, job) => {
                return Ok(Some(value));
            }
            (Some(_), _) => {}
        }
    }
}

fn say(mut stream: &UnixStream, message: &Value) -> Result<(), String> {
    stream.write_all(format!("{message}\n").as_bytes()).map_err(|error| error.to_string())
}

/// The next message; none: the connection has ended.
fn line(lines: &mut BufReader<&UnixStream>) -> Result<Option<Value>, String> {
    let mut text = String::new();
    match lines.read_line(&mut text) {
        Ok(0) => Ok(None),
        Ok(_) => serde_json::from_str(&text).map(Some).map_err(|error| error.to_string()),
        // Who ends may have left something unread.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// The answer to a command, and whether what is waited for came before it.
fn answer(lines: &mut BufReader<&UnixStream>, until: Until<'_>) -> Result<(Value, bool), String> {
    let mut seen = false;
    loop {
        let message = line(lines)?.ok_or("it ended")?;
        if let Some(error) = message.get("error") {
            return Err(error["desc"].as_str().unwrap_or("an error without words").to_owned());
        }
        if let Some(value) = message.get("return") {
            return Ok((value.clone(), seen));
        }
        seen |= matches!(until, Until::Concluded(job) if concludes(&message, job));
    }
}

fn concludes(message: &Value, job: &str) -> bool {
    let data = &message["data"];
    message["event"] == "JOB_STATUS_CHANGE" && data["id"] == job && data["status"] == "concluded"
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    const HELLO: &str = "{\"QMP\": {}}\n";

    /// A program that says these lines, each after a line that it heard, and then ends.
    fn program(says: &[&str]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("qmp");
        let listener = UnixListener::bind(&path).unwrap();
        let says: Vec<String> = says.iter().map(|text| (*text).to_owned()).collect();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut heard = BufReader::new(stream.try_clone().unwrap());
            for (number, text) in says.iter().enumerate() {
                if number > 0 {
                    heard.read_line(&mut String::new()).unwrap();
                }
                stream.write_all(text.as_bytes()).unwrap();
            }
        });
        (folder, path)
    }

    fn ran(says: &[&str], until: Until<'_>) -> Result<Option<Value>, String> {
        let (_folder, path) = program(says);
        run(&path, "query-jobs", &json!({}), until).map_err(|error| error.to_string())
    }

    #[test]
    fn answers_are_told_from_events_and_errors() {
        let event = "{\"event\": \"X\", \"data\": {}}\n{\"return\": [1]}\n";
        let answered = ran(&[HELLO, "{\"return\": {}}\n", event], Until::Answered);
        assert_eq!(answered, Ok(Some(json!([1]))));
        let error = "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no room\"}}\n";
        let refused = ran(&[HELLO, "{\"return\": {}}\n", error], Until::Answered).unwrap_err();
        assert!(refused.ends_with("no room"), "{refused}");
        let other = ran(&["220 mail\n"], Until::Answered).unwrap_err();
        assert!(other.contains("trailing characters"), "{other}");
        assert!(ran(&[HELLO, "{\"return\": {}}\n"], Until::Answered).is_err(), "it ended");
        assert_eq!(ran(&[], Until::Answered), Ok(None), "it was ending");
    }

    #[test]
    fn an_end_is_waited_for() {
        let done = "{\"event\": \"JOB_STATUS_CHANGE\", \"data\": {\"id\": \"j\", \"status\": \"concluded\"}}\n";
        let returned = "{\"return\": {}}\n";
        for end in [format!("{done}{returned}"), format!("{returned}{done}")] {
            let says = [HELLO, returned, &end];
            assert!(ran(&says, Until::Concluded("j")).is_ok());
            assert!(ran(&says, Until::Concluded("other")).is_err(), "it ended before");
        }
        assert!(ran(&[HELLO, "{\"return\": {}}\n", "{\"return\": {}}\n"], Until::Gone).is_ok());
        let nowhere = Path::new("/nonexistent/qmp");
        assert_eq!(run(nowhere, "quit", &json!({}), Until::Gone).unwrap(), None);
    }
}
