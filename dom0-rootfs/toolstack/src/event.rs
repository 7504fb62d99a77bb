// SPDX-License-Identifier: MIT OR Apache-2.0
//! `event.from` and its older relatives. Waiting costs no thread.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::Instant;
use xapi_model::{ApiError, Class, DateTime, Ref, Reply, Value, classes, errors};

use crate::dispatch::blocking;
use crate::store::{Object, Objects, Token};
use crate::toolstack::Context;

/// Longest wait of one call.
const LONGEST: f64 = 3600.0;
/// After news, changes that follow at once are taken along.
const GATHER: Duration = Duration::from_millis(5);

type Answer = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// The handler of a message that may wait.
pub fn handler(name: &str) -> Option<fn(Context, Vec<Value>) -> Answer> {
    match name {
        "event.from" => Some(|context, params| Box::pin(from(context, params))),
        "event.next" => Some(|context, _| Box::pin(next(context))),
        _ => None,
    }
}

/// Names that [`handler`] knows.
pub const HANDLED: [&str; 2] = ["event.from", "event.next"];

/// What a client wants to hear of.
#[derive(Debug, Clone, PartialEq)]
enum Wanted {
    All,
    Class(&'static str),
    Object(&'static str, Ref),
}

impl Wanted {
    fn parse(text: &str) -> Result<Wanted, ApiError> {
        let unknown = || errors::EVENT_SUBSCRIPTION_PARSE_FAILURE.with([text]);
        if text == "*" {
            return Ok(Wanted::All);
        }
        let (class, object) = match text.split_once('/') {
            Some((class, object)) => (class, Some(object)),
            None => (text, None),
        };
        match (classes::find(class), object) {
            (Some(class), Some(object)) => Ok(Wanted::Object(class.name, Ref::new(object))),
            (Some(class), None) => Ok(Wanted::Class(class.name)),
            // Clients subscribe to every class that they know; one that this server does not
            // have is merely silent.
            (None, _)
                if !class.is_empty() && class.chars().all(|c| c.is_alphanumeric() || c == '_') =>
            {
                Ok(Wanted::Class("nothing"))
            }
            (None, _) => Err(unknown()),
        }
    }

    fn covers(&self, class: &Class, reference: &Ref) -> bool {
        match self {
            Wanted::All => true,
            Wanted::Class(wanted) => class.name == *wanted,
            Wanted::Object(wanted, object) => class.name == *wanted && reference == object,
        }
    }
}

/// Reads subscriptions.
pub fn check_subscriptions(texts: &[String]) -> Result<(), ApiError> {
    texts.iter().try_for_each(|text| Wanted::parse(text).map(drop))
}

fn texts(value: &Value) -> Vec<String> {
    value.as_set().unwrap_or_default().iter().map(Value::text).collect()
}

/// A client that has no token yet has heard nothing.
fn parse_token(text: &str) -> Result<Option<Token>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| errors::EVENT_FROM_TOKEN_PARSE_FAILURE.with([text]))
}

async fn from(context: Context, params: Vec<Value>) -> Reply {
    let wanted =
        texts(&params[0]).iter().map(|t| Wanted::parse(t)).collect::<Result<Vec<_>, _>>()?;
    let since = parse_token(params[1].as_str().unwrap_or_default())?;
    let Value::Float(timeout) = params[2] else {
        return Err(errors::FIELD_TYPE_ERROR.with(["timeout", "float"]));
    };
    let deadline = Instant::now() + Duration::from_secs_f64(timeout.clamp(0.0, LONGEST));
    let (events, token) = wait(&context, wanted, since, deadline).await?;
    let toolstack = context.toolstack.clone();
    blocking(move || {
        let counts = toolstack.store.read(valid_ref_counts);
        Ok(Value::Map(
            [
                ("events".to_owned(), Value::Set(events)),
                ("valid_ref_counts".to_owned(), counts),
                ("token".to_owned(), token.to_string().into()),
            ]
            .into(),
        ))
    })
    .await
}

/// Waits for events until the deadline; then there are none.
async fn wait(
    context: &Context,
    wanted: Vec<Wanted>,
    since: Option<Token>,
    deadline: Instant,
) -> Result<(Vec<Value>, Token), ApiError> {
    let mut news = context.toolstack.store.news();
    let wanted = std::sync::Arc::new(wanted);
    loop {
        news.mark_unchanged();
        let (toolstack, wanted) = (context.toolstack.clone(), wanted.clone());
        let collected = tokio::task::spawn_blocking(move || {
            toolstack.store.read(|objects| collect(objects, &wanted, since))
        });
        let (events, token) =
            collected.await.map_err(|e| errors::INTERNAL_ERROR.with([e.to_string()]))??;
        if since.is_none() || !events.is_empty() {
            return Ok((events, token));
        }
        match tokio::time::timeout_at(deadline, news.changed()).await {
            Ok(Ok(())) => tokio::time::sleep(GATHER).await,
            Ok(Err(_)) | Err(_) => return Ok((events, token)),
        }
        // Whoever logs out does not hear more.
        if context.toolstack.sessions.look(&context.session).is_none() {
            return Err(errors::SESSION_INVALID.with([context.session.as_str()]));
        }
    }
}

fn collect(
    objects: &Objects,
    wanted: &[Wanted],
    since: Option<Token>,
) -> Result<(Vec<Value>, Token), ApiError> {
    let covered = |class: &Class, reference: &Ref| {
        class.events && wanted.iter().any(|wanted| wanted.covers(class, reference))
    };
    let wanted = |object: &&Object| covered(object.class(), object.reference());
    let token = objects.token();
    let Some(since) = since else {
        let all = classes::ALL.iter().flat_map(|class| objects.all(class.name));
        let all = all.filter(wanted);
        let all = all.map(|object| changed("add", token.generation, object));
        return Ok((all.collect(), token));
    };
    let since = objects.heard(since).ok_or_else(|| errors::EVENTS_LOST.bare())?;
    let mut events = Vec::new();
    for object in objects.changed_since(since).filter(wanted) {
        let operation = if object.created_at() > since { "add" } else { "mod" };
        events.push(changed(operation, object.modified_at(), object));
    }
    for gone in objects.deleted_since(since).filter(|gone| covered(gone.class, &gone.reference)) {
        // What was taken back is there again.
        if gone.created <= since && objects.find(&gone.reference).is_none() {
            let event = event("del", gone.generation, gone.class, &gone.reference, &gone.uuid);
            events.push(Value::Map(event));
        }
    }
    Ok((events, token))
}

/// An event of an object that is there.
fn changed(operation: &'static str, generation: u64, object: &Object) -> Value {
    let (class, reference) = (object.class(), object.reference());
    let mut event = event(operation, generation, class, reference, object.uuid());
    event.insert("snapshot".to_owned(), object.record().into());
    Value::Map(event)
}

fn event(
    operation: &'static str,
    generation: u64,
    class: &Class,
    reference: &Ref,
    uuid: &str,
) -> BTreeMap<String, Value> {
    let id = i64::try_from(generation).unwrap_or(i64::MAX);
    [
        ("id".to_owned(), Value::Int(id)),
        ("timestamp".to_owned(), DateTime::now().into()),
        ("class".to_owned(), class.name.to_lowercase().into()),
        ("operation".to_owned(), operation.into()),
        ("ref".to_owned(), reference.into()),
        ("obj_uuid".to_owned(), uuid.into()),
    ]
    .into()
}

fn valid_ref_counts(objects: &Objects) -> Value {
    let classes = classes::ALL.iter().filter(|class| class.events);
    let count = |name| i64::try_from(objects.all(name).count()).unwrap_or_default();
    Value::Map(classes.map(|c| (c.name.to_lowercase(), Value::Int(count(c.name)))).collect())
}

/// `event.next`: like `event.from`, but the server remembers how far the session has heard.
async fn next(context: Context) -> Reply {
    let toolstack = context.toolstack.clone();
    let session = toolstack.sessions.look(&context.session);
    let not_registered = || errors::SESSION_NOT_REGISTERED.with([context.session.as_str()]);
    let (classes, since) = session.and_then(|s| s.registered).ok_or_else(not_registered)?;
    let wanted = classes.iter().map(|t| Wanted::parse(t)).collect::<Result<Vec<_>, _>>()?;
    let deadline = Instant::now() + Duration::from_secs_f64(LONGEST);
    let waited = wait(&context, wanted, Some(since), deadline).await;
    let heard = match &waited {
        Ok((_, token)) => *token,
        // What was lost was lost; the next call goes on from now.
        Err(_) => toolstack.store.read(Objects::token),
    };
    toolstack.sessions.change(&context.session, |session| {
        if let Some((_, since)) = &mut session.registered {
            *since = heard;
        }
    });
    waited.map(|(events, _)| Value::Set(events))
}
