//! OA-193: whatever a value is, it stays a value. The pages are read by a scanner of their own, so that a mistake of
//! the tokenizer does not hide itself.

use super::*;

/// What people put into names, states and messages to get out of them.
const ATTACKS: &[&str] = &[
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</title><svg onload=alert(1)>",
    "</textarea><img src=x onerror=alert(1)>",
    "</noscript><img src=x onerror=alert(1)>",
    "<!--",
    "--><img src=x onerror=alert(1)>",
    "\"><img src=x onerror=alert(1)>",
    "'><img src=x onerror=alert(1)>",
    "\" autofocus onfocus=alert(1) x=\"",
    "' autofocus onfocus=alert(1) x='",
    "x onmouseover=alert(1)",
    "x/onmouseover=alert(1)",
    "x\tonmouseover=alert(1)\n",
    "`;alert(1)//`",
    "\";alert(1);//",
    "';alert(1);//",
    "\\\";alert(1);//",
    "\\';alert(1);//",
    "\\",
    "\u{2028}alert(1)//",
    "\r\nalert(1)//",
    "${alert(1)}",
    "{{.State}}",
    "\u{1}?.State\u{2}",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    " \u{1}javascript:alert(1)",
    "java\tscript:alert(1)",
    "java\nscript:alert(1)",
    "javascript&colon;alert(1)",
    "&#106;avascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:alert(1)",
    "blob:https://x/1",
    "file:///etc/passwd",
    "view-source:javascript:alert(1)",
    "//evil.example/",
    "%0d%0aSet-Cookie:a=b",
    "\0",
    "",
    "&amp;&lt;&quot;",
    "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
];

/// Each kind of place, with a variable that is anybody's and one that the server has checked.
const PLACES: &str = r##"<!DOCTYPE html><html><head><title>a {{.V}} b</title>
<meta name="description" content="{{.V}}"><meta http-equiv="refresh" content="1;url={{.V}}">
<style>b > i { color: red }</style></head><body class={{.V}} id='x{{.V}}' data-x="{{.V}}" data-url="{{.V}}">
text {{.V}} text <b title="{{.V}}" lang={{.V}}>x</b> <i title=a{{.V}}{{.V}}b hidden>x</i>
<a href="{{.V}}">x</a> <a href='{{.V}}'>x</a> <a href={{.V}}>x</a> <a href=" {{.V}} ">x</a> <a href={{.V}}/x>x</a>
<a href="/p/{{.V}}">x</a> <a href="https://h/{{.V}}/?q={{.V}}#{{.V}}">x</a> <a href=/{{.V}}>x</a> <a href="?{{.V}}">x</a>
<img src="{{.V}}" alt="{{.V}}"><svg><title>{{.V}}</title><a xlink:href="{{.V}}"><text>{{.V}}</text></a></svg>
<form method=post action="{{.V}}"><input value="{{.V}}"><input name=a value={{.V}}><button formaction="{{.V}}">x</button>
<textarea>{{.V}}</textarea></form><noscript><p title="{{.V}}">{{.V}}</p></noscript>
<script>var a = "{{.V}}", b = '{{.V}}', c = {{.V}}; f({{.V}}, [{{.V}}], {k: {{.V}}}); // no "value"
/* nor 'here' */ var d = 4 / 2, e = /[/]x/.test("x {{.V}} y"), g = `y`; var h = "\"{{.V}}\\";</script>
<script type="application/json">{"a": "{{.V}}", "b": {{.V}}}</script>
{{if .V}}<p>{{.V}}</p>{{end}}{{with .V}}<p>{{.}}</p>{{end}}</body></html>"##;

/// An element as a browser sees it.
#[derive(Debug, PartialEq, Eq)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    /// Of script, style, title and textarea.
    content: String,
}

#[test]
fn no_value_gets_out_of_its_place() {
    for name in ["ClientName", "State", "RedirectURL", "CancelURL", "RetryURL"] {
        let template = PLACES.replace(".V", &format!(".{name}"));
        let mut pages = Pages::new();
        pages.put(PageKind::Success, Some(template.as_bytes())).expect("a good template");
        let render = |value: &str| pages.render(PageKind::Success, &full().set(name, value));
        compare(&render("x"), &render, name);
    }
}

#[test]
fn no_value_gets_out_of_the_built_in_pages() {
    let pages = Pages::new();
    for kind in PageKind::ALL {
        for name in TEXTS {
            let render = |value: &str| pages.render(kind, &full().set(name, value));
            compare(&render("x"), &render, name);
        }
    }
}

fn compare(harmless: &str, render: &dyn Fn(&str) -> String, name: &str) {
    let expected = shape(&scan(harmless));
    // Without a value there may be less, as the template wants it.
    for attack in ATTACKS.iter().filter(|attack| !attack.is_empty()) {
        let html = render(attack);
        let elements = scan(&html);
        assert_eq!(shape(&elements), expected, "{name}: {attack:?}\n{html}");
        for element in &elements {
            check_urls(element, attack);
        }
    }
    let html = render("");
    for element in scan(&html) {
        assert!(expected.iter().any(|(name, ..)| *name == element.name), "{html}");
        assert!(element.attributes.iter().all(|(name, _)| !name.starts_with("on")), "{html}");
    }
}

/// All that an attack must not change: elements, names of attributes, code of scripts outside of strings.
fn shape(elements: &[Element]) -> Vec<(String, Vec<String>, String)> {
    let shape = |element: &Element| {
        let names = element.attributes.iter().map(|(name, _)| name.clone()).collect();
        let code = if element.name == "script" { code(&element.content) } else { String::new() };
        (element.name.clone(), names, code)
    };
    elements.iter().map(shape).collect()
}

fn check_urls(element: &Element, attack: &str) {
    for (name, value) in &element.attributes {
        let url = value.rsplit_once("url=").map_or(value.as_str(), |(_, url)| url);
        let bare: String = decode(url).chars().filter(|c| *c > ' ').collect::<String>().to_ascii_lowercase();
        let is_url =
            ["href", "src", "action", "formaction", "xlink:href", "data-url"].contains(&name.as_str());
        let is_icon = element.name == "link" && value == "data:,";
        if (is_url && !is_icon) || name == "content" && value.contains("url=") {
            for scheme in ["javascript:", "data:", "vbscript:", "file:", "blob:", "view-source:"] {
                assert!(!bare.starts_with(scheme), "{attack:?} became {value:?} in {name}");
            }
        }
    }
}

/// The elements of a page, by a scanner that believes whatever it sees.
fn scan(html: &str) -> Vec<Element> {
    let mut elements = Vec::new();
    let mut rest = html;
    while let Some((_, tail)) = rest.split_once('<') {
        rest = tail;
        if let Some(comment) = tail.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, tail)| tail);
        } else if tail.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let (mut element, tail) = scan_tag(tail);
            rest = tail;
            if ["script", "style", "title", "textarea"].contains(&element.name.as_str()) {
                let end =
                    tail.to_ascii_lowercase().find(&format!("</{}", element.name)).unwrap_or(tail.len());
                element.content = tail[..end].to_owned();
                rest = &tail[end..];
            }
            elements.push(element);
        }
    }
    elements
}

fn scan_tag(tail: &str) -> (Element, &str) {
    let end = tail.find([' ', '\t', '\n', '/', '>']).unwrap_or(tail.len());
    let mut element =
        Element { name: tail[..end].to_lowercase(), attributes: Vec::new(), content: String::new() };
    let mut rest = &tail[end..];
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\n', '/']);
        if rest.is_empty() || rest.starts_with('>') {
            return (element, rest.strip_prefix('>').unwrap_or_default());
        }
        let end = rest.find([' ', '\t', '\n', '/', '>', '=']).unwrap_or(rest.len());
        let name = rest[..end].to_lowercase();
        rest = rest[end..].trim_start();
        let mut value = "";
        if let Some(tail) = rest.strip_prefix('=') {
            let tail = tail.trim_start();
            let quote = tail.chars().next().filter(|c| matches!(c, '"' | '\''));
            let body = if quote.is_some() { &tail[1..] } else { tail };
            let end = body.find(|c: char| quote.map_or_else(|| " \t\n>".contains(c), |quote| quote == c));
            let end = end.unwrap_or(body.len());
            value = &body[..end];
            rest = body[end..].trim_start_matches(|c| Some(c) == quote);
        }
        element.attributes.push((name, value.to_owned()));
    }
}

/// A script without what is in its strings; a string that is not closed on its line shows.
fn code(script: &str) -> String {
    let mut out = String::new();
    let mut chars = script.chars();
    while let Some(c) = chars.next() {
        out.push(c);
        if !matches!(c, '"' | '\'') {
            continue;
        }
        while let Some(inner) = chars.next() {
            match inner {
                '\\' => drop(chars.next()),
                '\n' | '\r' | '\u{2028}' | '\u{2029}' => out.push('\n'),
                _ if inner == c => {
                    out.push(c);
                    break;
                }
                _ => {}
            }
        }
    }
    out
}

fn decode(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&#34;", "\"").replace("&#39;", "'");
    text.replace("&amp;", "&")
}

const TEXTS: [&str; 26] = [
    "CSPNonce",
    "CancelURL",
    "ClientHost",
    "ClientID",
    "ClientName",
    "CodeChallenge",
    "CodeChallengeMethod",
    "ErrorMessage",
    "FormAction",
    "FormToken",
    "Hint",
    "Lang",
    "Message",
    "ProxyName",
    "RedirectHost",
    "RedirectURI",
    "RedirectURL",
    "Resource",
    "ResourceName",
    "ResponseType",
    "RetryText",
    "RetryURL",
    "Scope",
    "State",
    "Title",
    "Username",
];

#[test]
fn each_place_has_its_filter() {
    let nasty = "<a b='c' d=\"e\">&\\/`+\n";
    let values = Values::new().set("ClientName", nasty).set("State", "").set_flag("IsLoopback", true);
    let html = "&lt;a b=&#39;c&#39; d=&#34;e&#34;&gt;&amp;\\/`+\n";
    let js = r"\u003ca b\u003d\u0027c\u0027 d\u003d\u0022e\u0022\u003e\u0026\u005c\u002f\u0060\u002b\u000a";
    let part = "%3Ca%20b%3D%27c%27%20d%3D%22e%22%3E%26%5C%2F%60%2B%0A";
    for (source, expected) in [
        ("{{.ClientName}}", html.to_owned()),
        ("<p title=\"{{.ClientName}}\">", format!("<p title=\"{html}\">")),
        ("<p title='{{.ClientName}}'>", format!("<p title='{html}'>")),
        ("<p title={{.ClientName}}>", format!("<p title=\"{html}\">")),
        ("<p title={{.State}} id=a\"b>", "<p title=\"\" id=\"a&#34;b\">".to_owned()),
        ("<title>{{.ClientName}}</title>", format!("<title>{html}</title>")),
        ("<a href='/{{.ClientName}}'>", format!("<a href='/{part}'>")),
        ("<a href=\"https://h?q={{.ClientName}}\">", format!("<a href=\"https://h?q={part}\">")),
        ("<script nonce>a('{{.ClientName}}')</script>", format!("<script nonce>a('{js}')</script>")),
        ("<script nonce>a({{.ClientName}})</script>", format!("<script nonce>a(\"{js}\")</script>")),
        (
            "<script nonce>a({{.State}},{{.IsLoopback}})</script>",
            "<script nonce>a(\"\",true)</script>".into(),
        ),
    ] {
        check(source, &values, &expected);
    }
}

// T-23
#[test]
fn urls_are_of_the_web_or_checked() {
    for (url, web, checked) in [
        ("https://a.example/?b=c&d", "https://a.example/?b=c&amp;d", "https://a.example/?b=c&amp;d"),
        ("HTTP://a.example", "HTTP://a.example", "HTTP://a.example"),
        ("mailto:a@b.example", "mailto:a@b.example", "mailto:a@b.example"),
        ("/a:b", "/a:b", "/a:b"),
        ("?a:b", "?a:b", "?a:b"),
        (" a b ", "a%20b", "a%20b"),
        ("cursor://a/b", "#", "cursor://a/b"),
        ("vscode-insiders://a", "#", "vscode-insiders://a"),
        ("com.example.app:/b", "#", "com.example.app:/b"),
        ("data:image/png;base64,AA", "#", "#"),
        ("javascript:a", "#", "#"),
        ("\u{b}JAVASCRIPT:a", "#", "#"),
        ("java\rscript:a", "#", "#"),
        ("vbscript:a", "#", "#"),
        ("file:///a", "#", "#"),
        ("blob:a", "#", "#"),
        ("1:a", "#", "#"),
        (":a", "#", "#"),
    ] {
        let values = Values::new().set("State", url).set("RedirectURL", url);
        check("<a href=\"{{.State}}\">", &values, &format!("<a href=\"{web}\">"));
        check("<a href={{.RedirectURL}}>", &values, &format!("<a href=\"{checked}\">"));
        check("<a href='{{with .RedirectURL}}{{.}}{{end}}'>", &values, &format!("<a href='{checked}'>"));
    }
}

#[test]
fn scripts_and_styles_have_the_nonce() {
    let values = Values::new().set("CSPNonce", "n");
    for (source, expected) in [
        ("<script>a</script>", "<script nonce=\"n\">a</script>"),
        ("<SCRIPT async src=/a.js ></SCRIPT>", "<SCRIPT async src=\"/a.js\"  nonce=\"n\"></SCRIPT>"),
        ("<style>a{}</style>", "<style nonce=\"n\">a{}</style>"),
        ("<style media=\"print\">a{}</style>", "<style media=\"print\" nonce=\"n\">a{}</style>"),
        ("<script nonce=\"{{.CSPNonce}}\">a</script>", "<script nonce=\"n\">a</script>"),
        ("<style nonce={{.CSPNonce}}>a{}</style>", "<style nonce=\"n\">a{}</style>"),
        ("<!-- <script> --><p>", "<!-- <script> --><p>"),
        ("<p title=\"<script>\">", "<p title=\"<script>\">"),
    ] {
        check(source, &values, expected);
    }
}
