// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reference as a whole: the same each time, complete, and every link leads somewhere.

use std::collections::{BTreeMap, BTreeSet};

use xapi_model::{catalogue, classes, errors, left_out};
use xapi_reference::{Page, pages};

fn by_name() -> BTreeMap<String, String> {
    pages("1.2.3").into_iter().map(|Page { name, content }| (name, content)).collect()
}

/// The values of an attribute.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let start = format!(" {attribute}=\"");
    page.split(&start).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

#[test]
fn the_same_model_gives_the_same_pages() {
    assert_eq!(pages("1.2.3"), pages("1.2.3"));
    let names: BTreeSet<String> = by_name().into_keys().map(|name| name.to_lowercase()).collect();
    assert_eq!(names.len(), pages("1.2.3").len(), "names differ by more than their letters' case");
}

#[test]
fn every_link_leads_somewhere() {
    let pages = by_name();
    let mut links = 0;
    for (name, content) in &pages {
        let ids = values(content, "id");
        let once: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(once.len(), ids.len(), "{name}: an anchor is there twice");
        for link in values(content, "href") {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let file = if file.is_empty() { name } else { file };
            let target = pages.get(file).unwrap_or_else(|| panic!("{name}: no page {link}"));
            let found = anchor.is_empty() || values(target, "id").contains(&anchor);
            assert!(found, "{name}: nothing at {link}");
            links += 1;
        }
    }
    assert!(links > 5000, "{links}");
}

#[test]
fn everything_of_the_model_is_there() {
    let pages = by_name();
    for class in classes::ALL {
        let page = &pages[&format!("{}.html", class.name)];
        let ids = values(page, "id");
        for field in class.fields {
            assert!(
                ids.contains(&&*format!("field-{}", field.name)),
                "{} {}",
                class.name,
                field.name
            );
        }
    }
    for message in catalogue().all() {
        let page = &pages[&format!("{}.html", message.class.name)];
        let id = format!("message-{}", message.name);
        assert!(values(page, "id").contains(&&*id), "{}", message.full_name());
    }
    let known = values(&pages["errors.html"], "id");
    assert!(errors::ALL.iter().all(|error| known.contains(&error.name)));
    for left_out in left_out::ALL {
        for name in left_out.classes.iter().chain(left_out.messages) {
            assert!(pages["left-out.html"].contains(name), "{name}");
        }
    }
    for left_out in left_out::PATHS {
        assert!(pages["left-out.html"].contains(left_out.path), "{}", left_out.path);
    }
}

#[test]
fn pages_are_whole_and_need_no_script() {
    let void = ["meta", "link", "br", "rect", "circle", "path", "!DOCTYPE"];
    for (name, content) in by_name().iter().filter(|(name, _)| name.ends_with(".html")) {
        assert!(!content.contains("<script") && !content.contains("http-equiv"), "{name}");
        let mut open = Vec::new();
        for tag in content.split('<').skip(1) {
            let tag = &tag[..tag.find('>').unwrap_or_else(|| panic!("{name}: <{tag}"))];
            let word = tag.split([' ', '/']).find(|word| !word.is_empty()).unwrap();
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(word), "{name}: <{tag}>");
            } else if !void.contains(&word) {
                open.push(word);
            }
        }
        assert!(open.is_empty(), "{name}: {open:?}");
    }
}

/// `XAPI_REFERENCE_BLESS=1` writes it anew.
#[test]
fn a_small_class_looks_like_this() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/PBD.html");
    let page = by_name().remove("PBD.html").unwrap();
    if std::env::var_os("XAPI_REFERENCE_BLESS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    assert_eq!(page, std::fs::read_to_string(path).unwrap());
}
