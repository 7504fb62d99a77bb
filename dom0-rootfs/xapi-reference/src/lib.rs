// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reference of the API: static HTML pages made of `xapi-model`, without scripts, which work from
//! a folder as well as from a server.
//!
//! A page for each class, an index by groups, a diagram of who refers to whom, and pages for roles,
//! errors, enumerations, HTTP paths and what is left out of XenServer's data model. Every text is the
//! model's own; the same model gives the same bytes.

mod class;
mod diagram;
mod groups;
mod html;
mod index;
mod lists;
mod neighbours;
mod references;
mod svg;

use xapi_model::classes;

/// A file of the reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its name in the folder: `VM.html`.
    pub name: String,
    /// What is in it.
    pub content: String,
}

/// Every page of the reference of `version` of the project.
pub fn pages(version: &str) -> Vec<Page> {
    let page = |name: &str, content: String| Page { name: name.into(), content };
    let html = |name: &str, title: &str, body: String| {
        page(name, html::page(&format!("{title} — XenAPI of Xenith {version}"), name, &body))
    };
    let mut pages = vec![
        html("index.html", "Classes", index::body(version)),
        html("diagram.html", "Diagram of the classes", diagram::body()),
        html("enums.html", "Enumerations", lists::enums()),
        html("errors.html", "Errors", lists::errors()),
        html("roles.html", "Roles", lists::roles()),
        html("http.html", "HTTP", lists::http()),
        html("left-out.html", "What is left out", lists::left_out()),
        page("style.css", include_str!("style.css").into()),
    ];
    for class in classes::ALL {
        pages.push(html(&html::file(class.name), class.name, class::body(class)));
    }
    pages
}
