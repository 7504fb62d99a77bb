// SPDX-License-Identifier: MIT OR Apache-2.0
//! The process in which libxl lives.
//!
//! Without a command it serves the daemon on standard input, which is a socket, until that
//! closes. With `add` or `remove` it is a hotplug script that libxl runs. By hand, as root in Dom0:
//!
//! ```text
//! xenops-worker [--verbose] call REQUEST    answer one request, as "Domains" or {"Destroy":3}
//! xenops-worker config < SPECIFICATION      print a specification as libxl understands it
//! ```

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use xenops::Libxl;
use xenops::xenstore::Xenstore;

fn main() -> anyhow::Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let verbose = arguments.first().is_some_and(|first| first == "--verbose");
    if verbose {
        arguments.remove(0);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => serve(verbose),
        ["call", request] => {
            let xen = Libxl::open(verbose)?;
            println!("{}", xenops::answer_once(&xen, request)?);
            Ok(())
        }
        ["config"] => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("reading standard input")?;
            let spec = serde_json::from_str(&text).context("reading the specification")?;
            println!("{}", xenops::understood(&spec)?);
            Ok(())
        }
        [action @ ("add" | "remove")] => {
            let backend = std::env::var("XENBUS_PATH").context("reading XENBUS_PATH")?;
            let mut store = Xenstore::connect(Path::new(Xenstore::SOCKET))?;
            Ok(xenops::run_as_script(&mut store, action, &backend)?)
        }
        _ => bail!("unknown arguments; commands are call REQUEST and config"),
    }
}

fn serve(verbose: bool) -> anyhow::Result<()> {
    log();
    let socket = take_socket().context("taking the daemon's socket from standard input")?;
    let xen = Libxl::open(verbose)?;
    xenops::serve(socket, Arc::new(xen))?;
    // Threads may be in the middle of operations: the daemon is gone, and so shall they.
    Ok(())
}

/// Logs to standard error, which is the daemon's; `RUST_LOG` counts here too.
fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let stderr = std::io::stderr;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(false).init();
}

/// Moves the socket out of the way, for libxl's children inherit standard input.
fn take_socket() -> anyhow::Result<UnixStream> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let socket = UnixStream::from(socket);
    socket.peer_addr().context("it is not a socket: this program is started by the daemon")?;
    Ok(socket)
}
