use super::*;

mod broken;
mod ejected;
mod escaping;

/// A page filled in with something for every variable.
pub(super) fn full<'a>() -> Values<'a> {
    Values::new()
        .set("ClientName", "Claude")
        .set("ResourceName", "github")
        .set("ClientID", "mcpx_abc")
        .set("RedirectURI", "https://claude.ai/api/mcp/auth_callback")
        .set("ResponseType", "code")
        .set("Scope", "mcp offline_access")
        .set("State", "s-1_2.3~4")
        .set("CodeChallenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
        .set("CodeChallengeMethod", "S256")
        .set("Resource", "https://proxy.example/github/mcp")
        .set("ErrorMessage", "User name or password is wrong.")
        .set("FormToken", "token-1")
        .set("FormAction", "/oauth/authorize")
        .set("CSPNonce", "bm9uY2U")
        .set("RedirectHost", "claude.ai")
        .set("ClientHost", "clients.example")
        .set_flag("IsLoopback", false)
        .set_flag("AllResources", false)
        .set("Username", "ada")
        .set("CancelURL", "https://claude.ai/api/mcp/auth_callback?error=access_denied")
        .set("ProxyName", "Home Proxy")
        .set("Lang", "en")
        .set("RedirectURL", "https://claude.ai/api/mcp/auth_callback?code=c&state=s")
        .set("Title", "Unknown application")
        .set("Message", "The application is not registered.")
        .set("Hint", "Connect again.")
        .set("RetryURL", "https://proxy.example/retry")
        .set("RetryText", "Start again")
}

/// Puts a template in force and fills it in.
pub(super) fn filled(kind: PageKind, source: &str, values: &Values<'_>) -> String {
    let mut pages = Pages::new();
    pages.put(kind, Some(source.as_bytes())).unwrap_or_else(|error| panic!("{source}: {error}"));
    assert!(!pages.is_builtin(kind));
    pages.render(kind, values)
}

/// What filling in gives, of a template of the success page.
pub(super) fn check(source: &str, values: &Values<'_>, expected: &str) {
    assert_eq!(filled(PageKind::Success, source, values), expected, "{source}");
}

// OA-190
#[test]
fn pages_are_built_in() {
    let mut pages = Pages::new();
    for kind in PageKind::ALL {
        let page = pages.page_mut(kind);
        assert!(page.builtin.is_some() && page.external.is_none(), "{}", kind.file_name());
        let html = pages.render(kind, &Values::new());
        assert!(html.starts_with("<!DOCTYPE html>\n<html lang=\"en\">") && html.ends_with("</html>\n"));
        assert!(!html.contains("{{"), "{html}");
    }
}

// OA-110, OA-192
#[test]
fn the_login_page_shows_everything_it_is_given() {
    let html = Pages::new().render(PageKind::Authorize, &full());
    for field in [
        r#"<form id="login" method="post" action="/oauth/authorize">"#,
        r#"<input type="hidden" name="client_id" value="mcpx_abc">"#,
        r#"<input type="hidden" name="redirect_uri" value="https://claude.ai/api/mcp/auth_callback">"#,
        r#"<input type="hidden" name="response_type" value="code">"#,
        r#"<input type="hidden" name="scope" value="mcp offline_access">"#,
        r#"<input type="hidden" name="state" value="s-1_2.3~4">"#,
        r#"<input type="hidden" name="code_challenge" value="E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM">"#,
        r#"<input type="hidden" name="code_challenge_method" value="S256">"#,
        r#"<input type="hidden" name="resource" value="https://proxy.example/github/mcp">"#,
        r#"<input type="hidden" name="form_token" value="token-1">"#,
        "User name or password is wrong.",
        "Claude asks for access",
        "published by clients.example",
        "github",
        "Home Proxy",
        r#"<script nonce="bm9uY2U">"#,
        r#"<style nonce="bm9uY2U">"#,
        r#"<a href="https://claude.ai/api/mcp/auth_callback?error=access_denied">Cancel</a>"#,
    ] {
        assert!(html.contains(field), "{field} is missing in {html}");
    }
    assert_eq!(html.matches("form_token").count(), 1);
}

// OA-135
#[test]
fn the_login_page_can_be_used_by_everybody() {
    let pages = Pages::new();
    let tag = |html: &str, id: &str| {
        let start = html.find(&format!("<input id=\"{id}\"")).expect("the input");
        html[start..].split_once('>').expect("its end").0.to_owned()
    };
    let quiet = pages.render(PageKind::Authorize, &full().set("ErrorMessage", ""));
    let failed = pages.render(PageKind::Authorize, &full());
    for html in [&quiet, &failed] {
        assert!(html.contains(r#"<label for="username">"#) && html.contains(r#"<label for="password">"#));
        assert!(html.contains("name=\"viewport\"") && html.contains("<title>"));
        assert_eq!(html.matches("autofocus").count(), 1);
        assert!(!html.contains("https://fonts") && !html.contains("<img"));
        // An empty icon, so that the browser asks for none.
        assert_eq!(html.matches("<link").count(), html.matches(r#"<link rel="icon" href="data:,">"#).count());
        for (id, purpose) in [("username", "username"), ("password", "current-password")] {
            let tag = tag(html, id);
            assert!(tag.contains(&format!("autocomplete=\"{purpose}\"")), "{tag}");
            assert!(tag.contains("autocapitalize=\"none\"") && tag.contains("spellcheck=\"false\""), "{tag}");
            assert_eq!(tag.contains("aria-describedby=\"error\""), html.contains("role=\"alert\""));
            assert_eq!(tag.contains("aria-invalid=\"true\""), html.contains("role=\"alert\""));
        }
    }
    assert!(tag(&quiet, "username").contains("autofocus") && !quiet.contains("role=\"alert\""));
    assert!(tag(&failed, "password").contains("autofocus") && failed.contains("id=\"error\" role=\"alert\""));
    assert!(tag(&failed, "username").contains("value=\"ada\""));
}

// OA-136
#[test]
fn the_login_page_says_who_gets_what() {
    let pages = Pages::new();
    let web = pages.render(PageKind::Authorize, &full());
    assert!(web.contains("claude.ai") && !web.contains("on this computer"));
    let local = full().set("RedirectHost", "127.0.0.1:33418").set_flag("IsLoopback", true);
    let local = pages.render(PageKind::Authorize, &local.set_flag("AllResources", true));
    assert!(local.contains("An application on this computer <small>127.0.0.1:33418</small>"), "{local}");
    assert!(local.contains("all servers of Home Proxy"));
}

// OA-127
#[test]
fn the_success_page_leads_on_with_and_without_scripts() {
    let pages = Pages::new();
    for (url, written) in [
        ("https://claude.ai/cb?code=c&state=s", "https://claude.ai/cb?code=c&amp;state=s"),
        ("cursor://anysphere.cursor/cb?code=c", "cursor://anysphere.cursor/cb?code=c"),
        ("com.example.app:/cb?code=c'\"", "com.example.app:/cb?code=c&#39;&#34;"),
        ("javascript:alert(1)", "#"),
    ] {
        let html = pages.render(PageKind::Success, &full().set("RedirectURL", url));
        assert!(
            html.contains(&format!("id=\"continue\" href=\"{written}\">Continue to Claude</a>")),
            "{html}"
        );
        let refresh =
            format!("<noscript><meta http-equiv=\"refresh\" content=\"1;url={written}\"></noscript>");
        assert!(html.contains(&refresh), "{html}");
        assert!(html.contains("role=\"status\"") && html.contains("<strong>ada</strong>"));
        let script = html.split_once("<script").expect("a script").1;
        assert!(!script.contains("claude.ai") && !script.contains("code=c"), "{script}");
    }
}

#[test]
fn the_error_page_says_what_to_do() {
    let html = Pages::new().render(PageKind::Error, &full());
    for text in [
        "<h1>Unknown application</h1>",
        "The application is not registered.",
        "Connect again.",
        r#"href="https://proxy.example/retry">Start again</a>"#,
        "Home Proxy",
    ] {
        assert!(html.contains(text), "{text} is missing in {html}");
    }
    assert!(!Pages::new().render(PageKind::Error, &full().set("RetryURL", "")).contains("<a "));
}

// OA-194
#[test]
fn an_ejected_page_renders_as_the_built_in_one() {
    for kind in PageKind::ALL {
        for values in [full(), Values::new()] {
            assert_eq!(filled(kind, kind.source(), &values), Pages::new().render(kind, &values));
        }
    }
}

// OA-191
#[test]
fn a_template_is_replaced_and_removed() {
    let mut pages = Pages::new();
    let error = PageKind::Error;
    let builtin = pages.render(error, &full());
    assert_eq!(pages.put(error, Some(b"\xef\xbb\xbf<p>{{.Title}}</p>")), Ok(()));
    assert_eq!(pages.render(error, &full()), "<p>Unknown application</p>");
    assert!(pages.put(error, Some(b"<p>{{.Title</p>")).is_err());
    assert_eq!(pages.render(error, &full()), "<p>Unknown application</p>");
    assert!(pages.is_builtin(PageKind::Authorize) && !pages.is_builtin(error));
    assert_eq!(pages.put(error, None), Ok(()));
    assert_eq!(pages.render(error, &full()), builtin);
    assert!(pages.is_builtin(error));
}

#[test]
fn the_language_has_conditions() {
    let values = Values::new().set("Username", "ada").set_flag("IsLoopback", true);
    for (source, expected) in [
        ("{{.Username}}{{.ClientName}}", "ada"),
        ("{{.IsLoopback}} {{.AllResources}}.", "true ."),
        ("{{if .Username}}a{{else}}b{{end}}", "a"),
        ("{{if not .Username}}a{{else}}b{{end}}", "b"),
        ("{{if .ClientName}}a{{else if .IsLoopback}}b{{else}}c{{end}}", "b"),
        ("{{if .ClientName}}a{{else if .AllResources}}b{{else}}c{{end}}", "c"),
        ("{{if .ClientName}}a{{end}}.", "."),
        ("{{if and .Username .IsLoopback (not .ClientName)}}a{{end}}", "a"),
        ("{{if or .ClientName .AllResources}}a{{else}}b{{end}}", "b"),
        ("{{or .ClientName .Username \"x\"}} {{and .Username \"y\"}}", "ada y"),
        ("{{if eq .Username \"bob\" `ada`}}a{{end}}{{if ne .Username \"ada\"}}b{{end}}", "a"),
        ("{{if eq .IsLoopback true}}a{{end}}{{if eq .AllResources false}}b{{end}}", "ab"),
        ("{{if eq .ClientName \"\"}}a{{end}}", "a"),
        ("{{with .Username}}<{{.}}|{{$.Username}}>{{else}}-{{end}}", "<ada|ada>"),
        ("{{with .ClientName}}{{.}}{{else}}-{{end}}", "-"),
        ("{{with .Username}}{{if $.IsLoopback}}{{.}}{{end}}{{with .}}{{.}}{{end}}{{end}}", "adaada"),
        ("{{.Username | html}}{{html .Username}}{{.Username | printf \"%s\" | urlquery}}", "adaadaada"),
        ("{{\"a\\\"\\\\}}\" | print}}", "a&#34;\\}}"),
        ("a {{- /* no }} matter */ -}} b {{- .Username -}} c", "abadac"),
        ("a{{/* b */}}c {{ /* d */ }} {{- `e` }}", "ac e"),
        ("a - {{- \"-\" -}} - b", "a --- b"),
    ] {
        let source = source.replace("<{{", "&lt;{{");
        check(&source, &values, &expected.replace('<', "&lt;"));
    }
}

#[test]
fn the_default_of_the_engine_escapes() {
    let engine = engine();
    let template = engine.compile("\u{1}?.Title\u{2}\u{1}either(?.Title, ?.Title)\u{2}").expect("a template");
    let values = Values::new().set("Title", "<b>").to_value();
    assert_eq!(template.render_from(&engine, &values).to_string().expect("a page"), "&lt;b&gt;&lt;b&gt;");
}

#[test]
fn a_page_that_cannot_be_filled_in_is_the_built_in_one() {
    let mut pages = Pages::new();
    pages.error.external = pages.engine.compile("\u{1}?.Title | nothing\u{2}").ok();
    assert!(pages.error.external.is_some());
    assert!(pages.render(PageKind::Error, &full()).contains("<h1>Unknown application</h1>"));
}
