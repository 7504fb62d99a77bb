// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is encoded decodes to the same, for any value.

use proptest::prelude::*;
use xapi_model::{ApiError, Call, DateTime, Value, jsonrpc, xmlrpc};

/// Values as a decoder gives them for XML-RPC: integers are texts there.
fn value() -> impl Strategy<Value = Value> {
    let text = "[\\PC\t\n\r&<>\"']{0,12}";
    let leaf = prop_oneof![
        text.prop_map(Value::String),
        any::<bool>().prop_map(Value::Bool),
        (-1e12..1e12f64).prop_map(Value::Float),
        (0..4_102_444_800i64).prop_map(|s| Value::DateTime(DateTime(s))),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Set),
            prop::collection::btree_map(text, inner, 0..6).prop_map(Value::Map),
        ]
    })
}

/// JSON has no type for times.
fn times_as_text(value: Value) -> Value {
    match value {
        Value::DateTime(_) => Value::String(value.text()),
        Value::Set(items) => Value::Set(items.into_iter().map(times_as_text).collect()),
        Value::Map(m) => Value::Map(m.into_iter().map(|(k, v)| (k, times_as_text(v))).collect()),
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn xml_call(params in prop::collection::vec(value(), 0..4)) {
        let call = Call { method: "VM.start".into(), params };
        prop_assert_eq!(xmlrpc::decode_call(&xmlrpc::encode_call(&call)), Ok(call));
    }

    #[test]
    fn xml_reply(value in value()) {
        prop_assert_eq!(xmlrpc::decode_reply(&xmlrpc::encode_reply(&Ok(value.clone()))), Ok(Ok(value)));
    }

    #[test]
    fn json_call(params in prop::collection::vec(value(), 0..4), id in any::<u64>()) {
        let params: Vec<_> = params.into_iter().map(times_as_text).collect();
        let call = Call { method: "VM.start".into(), params };
        let (decoded, envelope) = jsonrpc::decode_call(&jsonrpc::encode_call(&call, id)).unwrap();
        prop_assert_eq!(decoded, call.clone());
        let reply = Ok(Value::Set(call.params));
        let text = jsonrpc::encode_reply(&envelope, &reply);
        prop_assert_eq!(jsonrpc::decode_reply(&text), Ok(reply));
    }

    #[test]
    fn no_text_makes_a_decoder_panic(text in "\\PC{0,80}") {
        let _ = xmlrpc::decode_call(&text);
        let _ = xmlrpc::decode_reply(&text);
        let _ = jsonrpc::decode_call(&text);
        let _ = jsonrpc::decode_reply(&text);
    }
}

#[test]
fn errors_survive_both_wires() {
    let error = ApiError { code: "VM_BAD_POWER_STATE".into(), args: vec!["a<b".into(), "".into()] };
    let xml = xmlrpc::encode_reply(&Err(error.clone()));
    assert!(xml.find("Status").unwrap() < xml.find("ErrorDescription").unwrap());
    assert_eq!(xmlrpc::decode_reply(&xml), Ok(Err(error.clone())));
    for call in [r#"{"jsonrpc":"2.0","id":1,"method":"a"}"#, r#"{"id":1,"method":"a"}"#] {
        let (_, envelope) = jsonrpc::decode_call(call).unwrap();
        let json = jsonrpc::encode_reply(&envelope, &Err(error.clone()));
        assert_eq!(jsonrpc::decode_reply(&json), Ok(Err(error.clone())));
    }
}

#[test]
fn the_wire_looks_as_clients_insist() {
    assert!(xmlrpc::encode_reply(&Ok(Value::Int(3))).contains("<value>3</value>"));
    assert!(xmlrpc::encode_reply(&Ok(Value::Void)).contains("<name>Value</name><value></value>"));
    assert!(xmlrpc::encode_reply(&Ok(Value::Float(1e300))).contains("<double>1000"));
    assert!(!xmlrpc::encode_reply(&Ok("\u{1}".into())).contains('\u{1}'));
    let (_, envelope) = jsonrpc::decode_call(r#"{"jsonrpc":"2.0","id":0,"method":"a"}"#).unwrap();
    assert_eq!(
        jsonrpc::encode_reply(&envelope, &Ok(Value::Int(1 << 53))),
        r#"{"id":0,"jsonrpc":"2.0","result":9007199254740992}"#
    );
}
