// SPDX-License-Identifier: MIT OR Apache-2.0
//! `auth`.

use xapi_model::{ApiError, Value, errors};

use super::Entry;
use crate::auth::Account;
use crate::toolstack::{Args, Context};

pub(super) const HANDLERS: &[Entry] = &[
    ("auth.get_subject_identifier", |context, args| {
        let found = context.toolstack.accounts.by_name(args.text("subject_name"));
        Ok(resolved(found)?.identifier.into())
    }),
    ("auth.get_subject_information_from_identifier", |context, args| {
        Ok(Value::string_map(account(context, args)?.information()))
    }),
    ("auth.get_group_membership", |context, args| {
        let account = account(context, args)?;
        let groups = context.toolstack.accounts.groups(&account.identifier);
        Ok(Value::strings(groups.map_err(failed)?))
    }),
];

fn account(context: &Context, args: &Args<'_>) -> Result<Account, ApiError> {
    resolved(context.toolstack.accounts.by_identifier(args.text("subject_identifier")))
}

fn resolved(found: anyhow::Result<Option<Account>>) -> Result<Account, ApiError> {
    found.map_err(failed)?.ok_or_else(|| errors::SUBJECT_CANNOT_BE_RESOLVED.bare())
}

fn failed(error: anyhow::Error) -> ApiError {
    errors::INTERNAL_ERROR.with([format!("{error:#}")])
}
