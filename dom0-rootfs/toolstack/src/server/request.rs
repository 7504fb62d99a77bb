// SPDX-License-Identifier: MIT OR Apache-2.0
//! What requests that are no calls say of themselves: query, cookie, session.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64ct::{Base64Unpadded, Encoding as _};
use hyper::header::{AUTHORIZATION, COOKIE, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Request, Response, StatusCode};
use xapi_model::http::Handler;
use xapi_model::{ApiError, Call, Ref, Type};

use super::tasks::{answered, claimed, finish};
use super::{Body, Visit, refuse};
use crate::audit;
use crate::toolstack::{Context, Toolstack};
use crate::{dispatch, rbac};

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

/// A request's session. One that was opened for the request alone ends with this.
pub(super) struct Entered {
    /// Who it is.
    pub(super) context: Context,
    temporary: bool,
}

impl Entered {
    /// Ends the client's task that the query names, if it names one, as a request is answered.
    pub(super) fn answer(mut self, query: &Query, response: Response<Body>) -> Response<Body> {
        self.context.task = claimed(&self.context, query);
        answered(&self.context, response)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if self.temporary {
            self.context.toolstack.sessions.close(&self.context.session);
        }
    }
}

/// Name and password of HTTP's basic authentication (RFC 7617).
fn basic<B>(request: &Request<B>) -> Option<(String, String)> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("basic").then_some(())?;
    let text = Base64Unpadded::decode_vec(credentials.trim().trim_end_matches('=')).ok()?;
    let text = String::from_utf8(text).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// The session that a request names in its query or its cookie, or that its name and password open, if
/// it may use a handler.
pub(super) async fn session<B>(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    request: &Request<B>,
    query: &Query,
    handler: Handler,
) -> Result<Entered, Box<Response<Body>>> {
    let cookies = request.headers().get_all(COOKIE);
    let cookies = cookies.iter().filter_map(|value| value.to_str().ok());
    let cookie = cookies
        .flat_map(|line| line.split([';', ',']))
        .find_map(|pair| pair.trim().strip_prefix("session_id="));
    let named = query.get("session_id").or(cookie);
    let (named, temporary) = match (named, basic(request)) {
        (Some(named), _) => (named.to_owned(), false),
        (None, None) => (String::new(), false),
        (None, Some((user, password))) => {
            let params = vec![user.into(), password.into(), "".into(), "http".into()];
            let call = Call { method: "session.login_with_password".into(), params };
            match dispatch::call(toolstack, visit.peer(), call).await {
                Ok(session) => (session.text(), true),
                Err(error) => return Err(Box::new(stranger(&error))),
            }
        }
    };
    let (_, role) = toolstack.session(&named).map_err(|error| Box::new(stranger(&error)))?;
    let context = Context {
        toolstack: toolstack.clone(),
        session: Ref::new(&named),
        role,
        task: None,
        peer: visit.peer().clone(),
    };
    let mut entered = Entered { context, temporary };
    let may = role.may(handler.role);
    audit::request(&entered.context, handler.name, may);
    if !may {
        let error = rbac::denied(&format!("http/{}", handler.name), handler.role);
        entered.context.task = claimed(&entered.context, query);
        finish(&entered.context, &Type::Void, &Err(error.clone()));
        return Err(Box::new(refuse(StatusCode::FORBIDDEN, error.to_string())));
    }
    visit.known(&entered.context.toolstack.arrivals);
    Ok(entered)
}

/// The answer to who has no session.
fn stranger(error: &ApiError) -> Response<Body> {
    let mut response = refuse(StatusCode::UNAUTHORIZED, error.to_string());
    let value = HeaderValue::from_static("Basic realm=\"XenAPI\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, value);
    response
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

    #[test]
    fn names_and_passwords_are_read() {
        let of = |value: &str| {
            let request = Request::builder().header(AUTHORIZATION, value).body(()).unwrap();
            basic(&request)
        };
        let both = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(of("Basic cm9vdDpzZWNyZXQ="), both("root", "secret"));
        assert_eq!(of("basic cm9vdDphOmI="), both("root", "a:b"));
        assert_eq!(of("Basic Og=="), both("", ""));
        for bad in
            ["", "Basic", "Basic cm9vdA==", "Basic c!m9v", "Bearer cm9vdDpzZWNyZXQ=", "Basic /w=="]
        {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
