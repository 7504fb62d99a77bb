// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every command: those derived from the API, and the verbs that are written out.

use crate::api::Api;
use crate::derived::{self, Message};
use crate::failure::Failure;
use crate::nearest::nearest;
use crate::output::Output;
use crate::params::{Params, STANDARD};
use crate::views::{self, View};
use crate::{generic, verbs};

/// What a command does.
#[derive(Debug, Clone)]
enum Action {
    Generic(View, fn(&View, &mut Api, &Params, &mut Output<'_>) -> Result<(), Failure>),
    Message(Message),
    Verb(verbs::Run),
}

/// A command.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) name: String,
    /// Parameters it cannot do without.
    pub(crate) required: Vec<String>,
    /// Parameters it may have; `name:` for maps.
    pub(crate) optional: Vec<String>,
    pub(crate) help: String,
    /// Belongs to the few that `xe help` shows.
    pub(crate) common: bool,
    /// Works on objects picked by their fields.
    pub(crate) selects: Option<View>,
    action: Action,
}

/// All commands by name.
pub(crate) fn all() -> Vec<Command> {
    let verbs = verbs::all().map(of_verb);
    let messages = derived::all().into_iter().map(of_message);
    let views = views::all();
    let mut all: Vec<Command> =
        verbs.chain(messages).chain(views.iter().flat_map(of_view)).collect();
    // A verb that is written out takes the place of the derived one: the sort keeps their order.
    all.sort_by(|left, right| left.name.cmp(&right.name));
    all.dedup_by(|later, earlier| later.name == earlier.name);
    all
}

/// The command of this name. Makes no other, as long as there is one: there are hundreds.
pub(crate) fn find(name: &str) -> Result<Command, Failure> {
    let verb = || verbs::all().find(|verb| verb.name == name).map(of_verb);
    let message =
        || derived::all().into_iter().find(|message| message.name() == name).map(of_message);
    let of_views = || {
        let own =
            |view: &&View| name.strip_prefix(&view.name).is_some_and(|rest| rest.starts_with('-'));
        let views = views::all();
        let all = views.iter().filter(own).flat_map(of_view);
        all.into_iter().find(|command| command.name == name)
    };
    if let Some(command) = verb().or_else(message).or_else(of_views) {
        return Ok(command);
    }
    let all = all();
    let near = nearest(name, all.iter().map(|command| command.name.as_str()));
    let hint = near.map(|near| format!("did you mean '{near}'?"));
    Err(Failure::UnknownCommand { name: name.to_owned(), hint })
}

impl Command {
    /// Looks at the parameters before anything is sent.
    pub(crate) fn check(&self, params: &Params) -> Result<(), Failure> {
        for name in &self.required {
            params.require(name)?;
        }
        let open = self.optional.iter().any(|name| name == "<field>");
        if self.selects.is_some() || open {
            return Ok(());
        }
        let own: Vec<&str> =
            self.required.iter().chain(&self.optional).map(String::as_str).collect();
        for (given, _) in &params.0 {
            let inside_map = own.iter().filter_map(|name| name.strip_suffix(':')).any(|name| {
                given.starts_with(&format!("{name}:")) || given.starts_with(&format!("{name}-"))
            });
            if !inside_map && !own.contains(&given.as_str()) && !STANDARD.contains(&given.as_str())
            {
                let near = nearest(given, own.iter().map(|name| name.trim_end_matches(':')));
                let text = format!("Unknown parameter '{given}' of {}", self.name);
                return Err(Failure::with_hint(text, near));
            }
        }
        Ok(())
    }

    /// The kind of object that it is for, if every kind has such a command: `list`.
    pub(crate) fn kind(&self) -> Option<&View> {
        match &self.action {
            Action::Generic(view, _) => Some(view),
            Action::Message(_) | Action::Verb(_) => None,
        }
    }

    /// The type of a parameter of the message that it is.
    pub(crate) fn type_of(&self, param: &str) -> Option<xapi_model::Type> {
        match &self.action {
            Action::Message(message) => message.type_of(param),
            Action::Generic(..) | Action::Verb(_) => None,
        }
    }

    /// Does it.
    pub(crate) fn run(
        &self,
        api: &mut Api,
        params: &Params,
        out: &mut Output<'_>,
    ) -> Result<(), Failure> {
        match &self.action {
            Action::Generic(view, run) => run(view, api, params, out),
            Action::Message(message) => message.run(api, params, out),
            Action::Verb(run) => run(api, params, out),
        }
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn of_verb(verb: &'static verbs::Verb) -> Command {
    Command {
        name: verb.name.to_owned(),
        required: owned(verb.required),
        optional: owned(verb.optional),
        help: verb.help.to_owned(),
        common: verb.common,
        selects: verb.selects.and_then(views::find),
        action: Action::Verb(verb.run),
    }
}

fn of_message(message: Message) -> Command {
    Command {
        name: message.name(),
        required: message.required(),
        optional: message.optional(),
        help: message.help(),
        common: ["vm-pause", "vm-unpause"].contains(&message.name().as_str()),
        selects: message.selects(),
        action: Action::Message(message),
    }
}

fn of_view(view: &View) -> Vec<Command> {
    let fields = view.fields();
    let writable = |maps: bool, others: bool| {
        fields
            .iter()
            .filter(|field| field.writable())
            .filter_map(|field| match field.ty() {
                xapi_model::Type::Map(..) if maps => Some(format!("{}:", field.name)),
                xapi_model::Type::Map(..) | xapi_model::Type::Set(_) => None,
                _ => others.then(|| field.name.clone()),
            })
            .collect::<Vec<_>>()
    };
    let has_members = fields.iter().any(|field| {
        field.writable()
            && matches!(field.ty(), xapi_model::Type::Map(..) | xapi_model::Type::Set(_))
    });
    let command =
        |verb: &str,
         required: &[&str],
         optional: Vec<String>,
         help: String,
         run: fn(&View, &mut Api, &Params, &mut Output<'_>) -> Result<(), Failure>| {
            Command {
                name: format!("{}-{verb}", view.name),
                required: owned(required),
                optional,
                help,
                common: verb == "list" && ["vm", "network", "sr"].contains(&view.name.as_str()),
                selects: None,
                action: Action::Generic(view.clone(), run),
            }
        };
    let open = || vec!["<field>".to_owned()];
    let mut filters = vec!["params".to_owned(), "<field>".to_owned()];
    filters.extend(fields.iter().map(|field| match field.ty() {
        xapi_model::Type::Set(_) => format!("{}:contains", field.name),
        xapi_model::Type::Map(..) => format!("{}:", field.name),
        _ => field.name.clone(),
    }));
    let plural = view.plural();
    let mut all = vec![
        command(
            "list",
            &[],
            filters,
            format!(
                "Lists all the {plural}, filtering on the optional arguments. To filter on map \
                 parameters, use the syntax 'map-param:key=value'."
            ),
            generic::list,
        ),
        command(
            "param-list",
            &["uuid"],
            Vec::new(),
            "Lists all the parameters of the object specified by the uuid.".to_owned(),
            generic::list_params,
        ),
        command(
            "param-get",
            &["uuid", "param-name"],
            vec!["param-key".to_owned()],
            "Gets the parameter specified of the object. If the parameter is a map of key=value \
             pairs, use 'param-key=<key>' to get the value associated with a particular key."
                .to_owned(),
            generic::get,
        ),
    ];
    if !writable(true, true).is_empty() {
        let mut optional = open();
        optional.extend(writable(true, true));
        all.push(command(
            "param-set",
            &["uuid"],
            optional,
            "Sets the parameter specified. To set a (key,value) pair in a map parameter, use the \
             syntax 'map-param:key=value'."
                .to_owned(),
            generic::set,
        ));
        all.push(command(
            "param-clear",
            &["uuid", "param-name"],
            Vec::new(),
            "Clears the specified parameter: text, references, sets and maps.".to_owned(),
            generic::clear,
        ));
    }
    if has_members {
        let mut optional = open();
        optional.push("param-key".to_owned());
        all.push(command(
            "param-add",
            &["uuid", "param-name"],
            optional,
            "Adds to a set or map parameter. If the parameter is a set, use param-key=<key to \
             add>. If the parameter is a map, pass the values to add as 'key=value' pairs."
                .to_owned(),
            generic::add,
        ));
        all.push(command(
            "param-remove",
            &["uuid", "param-name", "param-key"],
            Vec::new(),
            "Removes a member or a key,value pair from a set/map respectively.".to_owned(),
            generic::remove,
        ));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_found_as_among_all() {
        let all = all();
        assert!(all.len() > 400, "{}", all.len());
        for command in all {
            let found = find(&command.name).unwrap();
            assert_eq!(format!("{found:?}"), format!("{command:?}"));
        }
        let near = find("vm-strat").unwrap_err().render();
        assert!(near.contains("did you mean 'vm-start'?"), "{near}");
    }
}
