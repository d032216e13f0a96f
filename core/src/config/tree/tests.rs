use super::*;

/// The tree of a text without variables.
fn read(text: &str) -> Result<Node, SyntaxError> {
    super::read(text, &mut Env::new(None, 0))
}

/// The tree as compact JSON, with the offset of every value in front of it.
fn show(node: &Node, out: &mut String) {
    out.push_str(&format!("{}:", node.span.start));
    match &node.value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(&value.to_string()),
        Value::Number(value) => out.push_str(&value.to_string()),
        Value::String(value) => out.push_str(&format!("{value:?}")),
        Value::Array(items) => {
            out.push('[');
            items.iter().for_each(|item| {
                show(item, out);
                out.push(' ');
            });
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for Member { at, key, node } in members {
                out.push_str(&format!("{at}:{key:?}="));
                show(node, out);
                out.push(' ');
            }
            out.push('}');
        }
    }
}

#[test]
fn values_are_read_with_their_places() {
    let table = [
        ("null", "0:null"),
        (" true ", "1:true"),
        ("-1.5e3", "0:-1500.0"),
        ("18446744073709551615", "0:18446744073709551615"),
        (r#""a\n\u00e4\ud83d\ude00""#, r#"0:"a\nä😀""#),
        ("[]", "0:[]"),
        ("{}", "0:{}"),
        ("[1, [2], {}]", "0:[1:1 4:[5:2 ] 9:{} ]"),
        (r#"{"a": 1, "a": {"b": []}}"#, r#"0:{1:"a"=6:1 9:"a"=14:{15:"b"=20:[] } }"#),
        // Comments and trailing commas. SEED-018
        ("[1,]", "0:[1:1 ]"),
        (r#"{"a":1,}"#, r#"0:{1:"a"=5:1 }"#),
        ("// x\n[ // y\n1 /* , */ , /**/ ] // z", "5:[12:1 ]"),
        (r#"["//", "/* x */", "\"//"]"#, r#"0:[1:"//" 7:"/* x */" 18:"\"//" ]"#),
        (
            r#"["a"// "b"
]"#,
            r#"0:[1:"a" ]"#,
        ),
        ("/*/ */1", "6:1"),
        ("\u{feff}1", "3:1"),
        ("1//", "0:1"),
        ("[1]\r\n", "0:[1:1 ]"),
    ];
    for (text, expected) in table {
        let node = read(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        let mut shown = String::new();
        show(&node, &mut shown);
        assert_eq!(shown, expected, "{text}");
    }
}

#[test]
fn what_is_not_json_is_refused_where_it_goes_wrong() {
    let table = [
        ("", 0, "expected a value, found the end of the text"),
        ("  // x", 6, "expected a value, found the end of the text"),
        ("[1", 2, "expected `,` or `]`, found the end of the text"),
        (r#"{"a":1"#, 6, "expected `,` or `}`, found the end of the text"),
        ("[1 2]", 3, "expected `,` or `]`, found something else"),
        ("[1}", 2, "expected `,` or `]`, found `}`"),
        ("[,]", 1, "expected a value, found `,`"),
        ("[1,,]", 3, "expected a value, found `,`"),
        ("{,}", 1, "expected a key in double quotes or `}`, found `,`"),
        ("{a:1}", 1, "expected a key in double quotes or `}`, found something else"),
        (
            "{'a':1}",
            1,
            "expected a key in double quotes or `}`, found a single quote (JSON has double quotes only)",
        ),
        (r#"{"a" 1}"#, 5, "expected `:` after the key, found something else"),
        (r#"{"a":}"#, 5, "expected a value, found `}`"),
        (r#"{"a":1 "b":2}"#, 7, "expected `,` or `}`, found a string"),
        ("1 2", 2, "expected the end of the text, found something else"),
        ("{}}", 2, "expected the end of the text, found `}`"),
        ("[\"abc\n\"]", 1, "the closing quote of this string is missing"),
        ("\"abc", 0, "the closing quote of this string is missing"),
        ("\"abc\\", 0, "the closing quote of this string is missing"),
        ("\"a\tb\"", 2, "a control character in a string must be written as \\u00…"),
        (r#""a\xb""#, 3, "this string has an escape sequence that JSON does not know"),
        ("hunter2", 0, "expected a value, found a word without quotes"),
        ("01", 0, "this is not a JSON number"),
        ("1e999", 0, "this is not a JSON number"),
        ("[1.]", 1, "this is not a JSON number"),
        ("[] /* x", 3, "the end of this comment is missing"),
        ("/*/", 0, "the end of this comment is missing"),
        ("[1] / 2", 4, "expected the end of the text, found something else"),
    ];
    for (text, at, message) in table {
        let error = read(text).err().unwrap_or_else(|| panic!("{text} was accepted"));
        assert_eq!((error.at, error.message.as_ref()), (at, message), "{text}");
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(&nested(DEPTH_MAX)).is_ok());
    let error = read(&nested(DEPTH_MAX + 1)).err().expect("too deep");
    assert_eq!(error.at, DEPTH_MAX);
    assert!(read(&"[".repeat(1_000_000)).is_err());
}
