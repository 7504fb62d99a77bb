// SPDX-License-Identifier: MIT OR Apache-2.0
//! What requests that are no calls say of themselves: query, cookie, session.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::header::COOKIE;
use hyper::{Request, Response, StatusCode};
use xapi_model::{Ref, Role};

use super::{Body, Visit, refuse};
use crate::audit;
use crate::toolstack::{Context, Toolstack};

/// The query of a request.
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads it.
    pub(super) fn of<B>(request: &Request<B>) -> Query {
        let pairs = request.uri().query().unwrap_or_default().split('&');
        let pairs = pairs.filter_map(|pair| pair.split_once('='));
        Query(pairs.map(|(key, value)| (decode(key), decode(value))).collect())
    }

    /// A value.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}

/// Takes `%2F` and `+` apart.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = || {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            digits.bytes().all(|b| b.is_ascii_hexdigit()).then_some(())?;
            u8::from_str_radix(digits, 16).ok()
        };
        match (first, hex()) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = tail;
            }
            (other, _) => {
                bytes.push(*other);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The session that a request names in its query or its cookie, if it may do what needs `role`.
pub(super) fn session<B>(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    request: &Request<B>,
    query: &Query,
    role: Role,
) -> Result<Context, Box<Response<Body>>> {
    let cookies = request.headers().get_all(COOKIE);
    let cookies = cookies.iter().filter_map(|value| value.to_str().ok());
    let cookie = cookies
        .flat_map(|line| line.split([';', ',']))
        .find_map(|pair| pair.trim().strip_prefix("session_id="));
    let named = query.get("session_id").or(cookie).unwrap_or_default();
    let context = |role| Context {
        toolstack: toolstack.clone(),
        session: Ref::new(named),
        role,
        task: None,
        peer: visit.peer().clone(),
    };
    let (method, path) = (request.method().as_str(), request.uri().path());
    match toolstack.session(named) {
        Err(error) => Err(Box::new(refuse(StatusCode::UNAUTHORIZED, error.to_string()))),
        Ok((_, has)) if !has.may(role) => {
            audit::request(&context(has), method, path, false);
            let text = format!("this needs the role {}", role.name());
            Err(Box::new(refuse(StatusCode::FORBIDDEN, text)))
        }
        Ok((_, role)) => {
            visit.known();
            let context = context(role);
            audit::request(&context, method, path, true);
            Ok(context)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let uri = "/x?a=OpaqueRef%3A1&b=x+y&c=%zz%&d=%C3%A4&e=%+1&novalue";
        let request = Request::builder().uri(uri).body(()).unwrap();
        let query = Query::of(&request);
        assert_eq!(query.get("a"), Some("OpaqueRef:1"));
        assert_eq!(query.get("b"), Some("x y"));
        assert_eq!(query.get("c"), Some("%zz%"));
        assert_eq!(query.get("d"), Some("ä"));
        assert_eq!(query.get("e"), Some("% 1"));
        assert_eq!(query.get("novalue"), None);
    }
}
