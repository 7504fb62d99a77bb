// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pieces of HTML.

use xapi_model::{ErrorCode, Role, Type, classes, left_out};

/// Pages that every page leads to.
const MENU: &[(&str, &str)] = &[
    ("index.html", "Classes"),
    ("diagram.html", "Diagram"),
    ("roles.html", "Roles"),
    ("errors.html", "Errors"),
    ("enums.html", "Enumerations"),
    ("http.html", "HTTP"),
    ("left-out.html", "Left out"),
];

/// A whole page; `name` is its file.
pub(crate) fn page(title: &str, name: &str, body: &str) -> String {
    let link = |(file, label): &(&str, &str)| match *file == name {
        true => format!("<strong>{label}</strong> "),
        false => format!("<a href=\"{file}\">{label}</a> "),
    };
    let menu: String = MENU.iter().map(link).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{}</title>\n\
         <link rel=\"stylesheet\" href=\"style.css\">\n</head>\n<body>\n<nav>{}</nav>\n{body}\
         </body>\n</html>\n",
        escaped(title),
        menu.trim_end(),
    )
}

/// Text without characters that mean something in HTML.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

/// A description: what stands between backticks is code.
pub(crate) fn prose(text: &str) -> String {
    let pieces = text.split('`').enumerate();
    pieces
        .map(|(at, piece)| match at % 2 {
            0 => escaped(piece),
            _ => code(piece),
        })
        .collect()
}

/// A description that begins like a sentence.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    prose(&(first + letters.as_str()))
}

/// A name as code.
pub(crate) fn code(text: &str) -> String {
    format!("<code>{}</code>", escaped(text))
}

/// The file of a class's page.
pub(crate) fn file(class: &str) -> String {
    format!("{class}.html")
}

/// Where a class is described, or why it is not.
pub(crate) fn class_address(name: &str) -> Option<String> {
    if classes::ALL.iter().any(|class| class.name == name) {
        return Some(file(name));
    }
    left_out::of_class(name).map(|_| format!("left-out.html#{name}"))
}

/// A class's name that leads to it.
pub(crate) fn class(name: &str) -> String {
    match class_address(name) {
        Some(address) => format!("<a href=\"{address}\">{name}</a>"),
        None => name.to_owned(),
    }
}

/// A type, with links to what it names.
pub(crate) fn ty(ty: &Type) -> String {
    match ty {
        Type::Enum(kind) => {
            format!("enum <a href=\"enums.html#{}\">{}</a>", kind.name, kind.name)
        }
        Type::Ref(name) => format!("{} ref", class(name)),
        Type::Record(name) => format!("{} record", class(name)),
        Type::Set(item) => format!("{} set", self::ty(item)),
        Type::Map(key, value) => format!("({} → {}) map", self::ty(key), self::ty(value)),
        other => escaped(&other.describe()),
    }
}

/// A role that leads to what it is.
pub(crate) fn role(role: Role) -> String {
    let name = role.name();
    format!("<a href=\"roles.html#{name}\">{name}</a>")
}

/// An error that leads to what it means.
pub(crate) fn error(error: &ErrorCode) -> String {
    format!("<a href=\"errors.html#{0}\">{0}</a>", error.name)
}

/// A table; cells are HTML. The first cell of a row may be the row's anchor.
pub(crate) fn table(head: &[&str], rows: &[(Option<String>, Vec<String>)]) -> String {
    let head: String = head.iter().map(|cell| format!("<th>{cell}</th>")).collect();
    let mut out = format!("<table>\n<tr>{head}</tr>\n");
    for (id, cells) in rows {
        let id = id.as_ref().map(|id| format!(" id=\"{id}\"")).unwrap_or_default();
        let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        out += &format!("<tr{id}>{cells}</tr>\n");
    }
    out + "</table>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_texts_and_code_is_code() {
        assert_eq!(prose("a < b & `c \"d\"`."), "a &lt; b &amp; <code>c &quot;d&quot;</code>.");
        assert_eq!(sentence("the VM"), "The VM");
    }

    #[test]
    fn types_lead_to_what_they_name() {
        let map = Type::Map(&Type::Ref("VM"), &Type::Set(&Type::Ref("Observer")));
        let expected = "(<a href=\"VM.html\">VM</a> ref → \
                        <a href=\"left-out.html#Observer\">Observer</a> ref set) map";
        assert_eq!(ty(&map), expected);
    }
}
