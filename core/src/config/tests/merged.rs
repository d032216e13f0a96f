//! The merged endpoint.

use super::*;

fn merged(text: &str) -> Merged {
    load(&v2(&format!(r#""merged": {text}"#), r#""s": {"command": "x"}"#)).config.merged
}

#[test]
fn the_merged_endpoint_is_on_unless_turned_off() {
    let expected = Merged { enabled: true, prefix: Prefix::Always, separator: "__".to_owned(), name_max: 64 };
    assert_eq!(load(&v2("", "")).config.merged, expected);
    assert_eq!(
        (merged("{}"), merged("null"), Merged::default()),
        (expected.clone(), expected.clone(), expected)
    );
    assert!(!merged(r#"{"enabled": false}"#).enabled);
    assert!(load(r#"{"server": {}, "clients": {}}"#).config.merged.enabled);
}

#[test]
fn every_key_of_the_merged_endpoint_is_read() {
    for prefix in [Prefix::Always, Prefix::OnClash, Prefix::Never] {
        let text = format!(r#"{{"prefix": "{}", "separator": "-", "nameMax": 128}}"#, prefix.name());
        let expected = Merged { enabled: true, prefix, separator: "-".to_owned(), name_max: 128 };
        assert_eq!(merged(&text), expected);
    }
    for separator in ["_", "-", "__", "a1B2-_zZ"] {
        assert_eq!(merged(&format!(r#"{{"separator": "{separator}"}}"#)).separator, separator);
    }
    assert_eq!(merged(r#"{"nameMax": 16}"#).name_max, 16);
}

#[test]
fn what_the_merged_endpoint_cannot_be_is_refused() {
    let table = [
        ("true", "`mcpProxy.merged`: expected an object, found a boolean"),
        (r#"{"enabled": "yes"}"#, "`mcpProxy.merged.enabled`: expected true or false, found a string"),
        (r#"{"prefix": "onClash"}"#, "unknown prefix policy `onClash`, did you mean `on-clash`?"),
        (r#"{"prefix": ""}"#, "unknown prefix policy ``, expected `always`, `on-clash` or `never`"),
        (r#"{"separator": ""}"#, "`mcpProxy.merged.separator`: expected 1 to 8 letters, digits, `_` or `-`"),
        (r#"{"separator": "_________"}"#, "expected 1 to 8 letters"),
        (r#"{"separator": "."}"#, "expected 1 to 8 letters"),
        (r#"{"separator": "ä"}"#, "expected 1 to 8 letters"),
        (r#"{"nameMax": 15}"#, "`mcpProxy.merged.nameMax`: expected a number from 16 to 128, found 15"),
        (r#"{"nameMax": 129}"#, "expected a number from 16 to 128, found 129"),
    ];
    for (text, part) in table {
        only(&refuse(&v2(&format!(r#""merged": {text}"#), "")), Severity::Error, part);
    }
    let loaded = load(&v2(r#""merged": {"seperator": "-"}"#, r#""s": {"command": "x"}"#));
    let unknown = "unknown key `mcpProxy.merged.seperator`, did you mean `separator`?";
    only(&loaded.warnings, Severity::Warning, unknown);
}
