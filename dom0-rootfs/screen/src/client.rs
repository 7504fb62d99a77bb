// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls to the toolstack: what is shown by its local socket, which lets root in; the person's
//! password over the network, as the socket asks root for none.

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use certificate_pin::Fingerprint;
use xapi_client::{Connection, open_tls, relay};
use xapi_model::{ApiError, Call, Reply, Value, errors};

use crate::state::{Request, VmRequest};

/// What the server is told of this program.
const AGENT: &str = concat!("xenith-screen/", env!("CARGO_PKG_VERSION"));
const NAME: &str = "xenith-screen";

/// Where the toolstack is.
#[derive(Debug, Clone)]
pub struct Toolstack {
    /// Its socket.
    pub socket: PathBuf,
    /// Its HTTPS on this host.
    pub https: SocketAddr,
}

impl Toolstack {
    /// A connection to the socket; an answer that takes longer than `patience` is an error.
    pub fn connect(&self, patience: Option<Duration>) -> Result<Connection> {
        let doing = || format!("connecting to {}", self.socket.display());
        let stream = UnixStream::connect(&self.socket).with_context(doing)?;
        stream.set_read_timeout(patience).with_context(doing)?;
        Ok(Connection::new(Box::new(stream), "localhost".to_owned(), AGENT))
    }

    /// A session for what is only looked at.
    pub fn look(&self, connection: &mut Connection) -> Result<Value> {
        let params = ["root", "", "1.0", NAME].map(Value::from).to_vec();
        ask(connection, "session.login_with_password", params)
    }

    /// A session by root's password; the toolstack brakes whoever guesses. `fingerprint` is that of
    /// its certificate, so that nobody else hears the password.
    pub fn log_in(&self, password: &str, fingerprint: &str) -> Result<Value, String> {
        let log_in = || -> Result<Value> {
            let server = self.https.ip().to_string();
            let stream =
                open_tls(&server, self.https.port(), &|shown| match Fingerprint::of(shown)
                    .to_string()
                    .eq_ignore_ascii_case(fingerprint)
                {
                    true => Ok(()),
                    false => bail!("another program answers at {}", self.https),
                })
                .with_context(|| format!("connecting to {}", self.https))?;
            let mut connection = Connection::new(stream, server, AGENT);
            let params = ["root", password, "1.0", NAME].map(Value::from).to_vec();
            ask(&mut connection, "session.login_with_password", params)
        };
        log_in().map_err(|error| match error.downcast_ref::<ApiError>() {
            Some(refused) if refused.is(&errors::SESSION_AUTHENTICATION_FAILED) => {
                let why = refused.args.get(1).map(String::as_str).unwrap_or_default();
                match why {
                    "" | "Authentication failure" => "The password is wrong.".to_owned(),
                    why => format!("{why}."),
                }
            }
            _ => format!("The password could not be checked: {error:#}"),
        })
    }

    /// Ends a session.
    pub fn log_out(&self, session: Value) -> Result<()> {
        let mut connection = self.connect(Some(Duration::from_secs(10)))?;
        ask(&mut connection, "session.logout", vec![session]).map(drop)
    }

    /// Does what was asked for, which may take long.
    pub fn carry_out(&self, session: &Value, request: &Request) -> Result<(), String> {
        let run = || -> Result<()> {
            let mut connection = self.connect(None)?;
            let mut call = |method: &str, params: Vec<Value>| {
                let params = std::iter::once(session.clone()).chain(params).collect();
                ask(&mut connection, method, params).map(drop)
            };
            match request {
                Request::Vm(what, vm) => {
                    let vm = Value::from(vm.reference.as_str());
                    match what {
                        VmRequest::Start => call("VM.start", vec![vm, false.into(), false.into()]),
                        VmRequest::Shutdown => call("VM.clean_shutdown", vec![vm]),
                        VmRequest::Reboot => call("VM.clean_reboot", vec![vm]),
                        VmRequest::ForceOff => call("VM.hard_shutdown", vec![vm]),
                    }
                }
                Request::Address { pif, mode, ip, netmask, gateway, dns } => {
                    let params = [pif, *mode, ip, netmask, gateway, dns];
                    call("PIF.reconfigure_ip", params.map(Value::from).to_vec())
                }
                Request::Reboot(host) | Request::PowerOff(host) => {
                    let host = || vec![Value::from(host.as_str())];
                    let method = match request {
                        Request::Reboot(_) => "host.reboot",
                        _ => "host.shutdown",
                    };
                    call("host.disable", host())?;
                    let begun = call(method, host());
                    if begun.is_err() {
                        call("host.enable", host())?;
                    }
                    begun
                }
                Request::RestartToolstack(host) => {
                    call("host.restart_agent", vec![Value::from(host.as_str())])
                }
            }
        };
        run().map_err(|error| said(&error))
    }

    /// Connects this terminal to the text console with this uuid, until Ctrl-].
    pub fn console(&self, session: &Value, uuid: &str) -> Result<()> {
        let path = format!("/console?uuid={uuid}&session_id={}", session.text());
        let (begun, mut stream) = self.connect(None)?.upgrade(&path)?;
        let mut screen = std::io::stdout().lock();
        let keys = rustix::io::dup(rustix::stdio::stdin()).context("opening the terminal")?;
        relay(&begun, &mut *stream, &mut std::fs::File::from(keys), &mut screen)
    }
}

/// A call, whose refusal is an [`ApiError`] in the error.
pub fn ask(connection: &mut Connection, method: &str, params: Vec<Value>) -> Result<Value> {
    let call = Call { method: method.to_owned(), params };
    let reply: Reply = connection.call(&call)?;
    reply.map_err(|error| anyhow!(error))
}

/// An error in a sentence.
fn said(error: &anyhow::Error) -> String {
    let Some(refused) = error.downcast_ref::<ApiError>() else {
        return format!("{error:#}");
    };
    match errors::ALL.iter().find(|known| refused.is(known)) {
        // Arguments are mostly references, which say nothing to a person.
        Some(known) => match refused.args.iter().find(|arg| arg.contains(' ')) {
            Some(why) => format!("{} {why}", known.doc),
            None => known.doc.to_owned(),
        },
        None => refused.to_string(),
    }
}
