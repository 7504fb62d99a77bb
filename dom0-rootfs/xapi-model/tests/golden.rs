// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls that must decode to exactly what is written beside them, and calls that must be refused.

use std::fs;
use std::path::PathBuf;

use xapi_model::{jsonrpc, xmlrpc};

fn cases(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e != "expected"));
    paths.sort();
    assert!(!paths.is_empty());
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

fn expect(path: &std::path::Path, got: &str) {
    let expected = fs::read_to_string(path.with_extension("expected")).unwrap();
    assert_eq!(got, expected.trim_end(), "{}", path.display());
}

#[test]
fn good_xml() {
    for (path, text) in cases("xml-good") {
        let call = xmlrpc::decode_call(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        expect(&path, &format!("{} {:?}", call.method, call.params));
    }
}

#[test]
fn bad_xml() {
    for (path, text) in cases("xml-bad") {
        assert!(xmlrpc::decode_call(&text).is_err(), "{}", path.display());
    }
}

#[test]
fn good_json() {
    for (path, text) in cases("json-good") {
        let (call, envelope) =
            jsonrpc::decode_call(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let got =
            format!("{} {:?} {:?} {:?}", call.method, call.params, envelope.version, envelope.id);
        expect(&path, &got);
    }
}

#[test]
fn bad_json() {
    for (path, text) in cases("json-bad") {
        assert!(jsonrpc::decode_call(&text).is_err(), "{}", path.display());
    }
}

#[test]
fn bombs_are_refused_quickly() {
    let many = "<value/>".repeat(xapi_model::MAX_VALUES + 1);
    let text = format!(
        "<methodCall><methodName>a.b</methodName><params><param><value><array><data>{many}\
         </data></array></value></param></params></methodCall>"
    );
    assert_eq!(xmlrpc::decode_call(&text), Err(xapi_model::DecodeError::TooMany));
    let deep = "<value><array><data>".repeat(100_000);
    let text = format!("<methodCall><methodName>a.b</methodName><params><param>{deep}");
    assert_eq!(xmlrpc::decode_call(&text), Err(xapi_model::DecodeError::TooDeep));
    let text = format!("{{\"method\":\"a.b\",\"params\":{}", "[".repeat(100_000));
    assert!(jsonrpc::decode_call(&text).is_err());
}
