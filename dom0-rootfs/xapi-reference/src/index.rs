// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first page: every class by its group.

use xapi_model::{catalogue, classes, errors};

use crate::groups;
use crate::html::{class, prose, table};

pub(crate) fn body(version: &str) -> String {
    let mut out = format!(
        "<h1>XenAPI of Xenith {version}</h1>\n\
         <p>What the toolstack of a host answers, over XML-RPC and JSON-RPC at <code>https://host/</code>: \
         {} classes, {} messages, {} errors. It is XenServer's interface; \
         <a href=\"left-out.html\">what of it is not there</a> has its reasons. A message that is not on \
         these pages answers <a href=\"errors.html#MESSAGE_METHOD_UNKNOWN\">MESSAGE_METHOD_UNKNOWN</a>.</p>\n\
         <p>Beside their own messages, classes have those that follow from their fields \
         (<code>get_</code>, <code>set_</code>, …). A message that is offered as a task returns at once, \
         called as <code>Async.</code>. Parameters in brackets may be left out.</p>\n",
        classes::ALL.len(),
        catalogue().all().count(),
        errors::ALL.len(),
    );
    for group in groups::ALL {
        out += &format!("<h2>{}</h2>\n", group.title);
        let known = group.classes.iter().filter_map(|name| classes::find(name));
        let rows: Vec<_> =
            known.map(|known| (None, vec![class(known.name), prose(known.doc)])).collect();
        out += &table(&["Class", "What its objects are"], &rows);
    }
    out
}
