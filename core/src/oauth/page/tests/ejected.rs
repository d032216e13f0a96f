//! SEED-145, SEED-146: templates in the manner of the Go programs, as people have them on disk.

use super::*;

const AUTHORIZE: &str = r#"<!DOCTYPE html>
<html>
<head>
    <title>Authorize {{.ClientName}}</title>
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <style>
        body { font-family: -apple-system, sans-serif; background: linear-gradient(135deg, #667eea 0%, #764ba2 100%); }
        .spinner::after { content: "</>"; }
    </style>
</head>
<body>
    <div class="container">
        <h1>🔐 Authorize</h1>
        <p><strong>{{.ClientName}}</strong> wants to access <strong>{{.ResourceName}}</strong></p>
        {{if .ErrorMessage}}
        <div class="error-message">{{.ErrorMessage}}</div>
        {{end}}
        <form method="POST" action="/oauth/authorize" onsubmit="document.getElementById('btn').disabled = true">
            <input type="hidden" name="client_id" value="{{.ClientID}}">
            <input type="hidden" name="redirect_uri" value="{{.RedirectURI}}" />
            <input type="hidden" name="response_type" value="{{ .ResponseType }}">
            <input type='hidden' name='scope' value='{{.Scope}}'>
            <input type=hidden name=state value={{.State}}>
            <input type="hidden" name="code_challenge" value="{{.CodeChallenge}}">
            {{- if .Resource }}<input type="hidden" name="resource" value="{{.Resource}}">{{ end -}}
            <input type="text" id="username" name="username" required autofocus>
            <input type="password" id="password" name="password" required>
            <button type="submit" id="btn">Authorize</button>
        </form>
    </div>
    <script>
        const username = document.getElementById('username');
        if (username && !username.value) { username.focus(); }
    </script>
</body>
</html>
"#;

const SUCCESS: &str = r#"<!DOCTYPE html>
<html>
<head><title>Success</title>
<script>
    let seconds = 3;
    function redirect() {
        window.location.href = "{{.RedirectURL}}";
    }
    // it's over
    const timer = setInterval(() => { if (--seconds <= 0) { clearInterval(timer); window.location.replace('{{.RedirectURL}}'); } }, 1000);
    var target = {{.RedirectURL}};
</script>
<meta http-equiv="refresh" content="5; URL='{{.RedirectURL}}'">
</head>
<body>
    <h1>Welcome, {{.Username}}!</h1>
    <p>Redirecting…</p><a href="{{.RedirectURL}}" id="manual">Click here</a>
</body>
</html>
"#;

// OA-192
#[test]
fn a_login_page_of_the_go_program_works() {
    let html = filled(PageKind::Authorize, AUTHORIZE, &full());
    for part in [
        "<title>Authorize Claude</title>",
        "<style nonce=\"bm9uY2U\">",
        "<script nonce=\"bm9uY2U\">",
        "<strong>Claude</strong> wants to access <strong>github</strong>",
        "<div class=\"error-message\">User name or password is wrong.</div>",
        "name=\"client_id\" value=\"mcpx_abc\">",
        "name=\"redirect_uri\" value=\"https://claude.ai/api/mcp/auth_callback\" />",
        "name=\"response_type\" value=\"code\">",
        "name='scope' value='mcp offline_access'>",
        "<input type=\"hidden\" name=\"state\" value=\"s-1_2.3~4\">",
        "value=\"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM\"><input type=\"hidden\" name=\"resource\"",
        "value=\"https://proxy.example/github/mcp\"><input type=\"text\"",
        "disabled = true\"><input type=\"hidden\" name=\"form_token\" value=\"token-1\">\n",
    ] {
        assert!(html.contains(part), "{part} is missing in {html}");
    }
    assert!(!html.contains("{{"));
    assert_eq!(html.matches("form_token").count(), 1);
    let quiet = filled(PageKind::Authorize, AUTHORIZE, &full().set("ErrorMessage", ""));
    assert!(!quiet.contains("<div class=\"error-message\">"));
}

// OA-192
#[test]
fn a_success_page_of_the_go_program_works() {
    let values = full().set("RedirectURL", "cursor://cb?code=c&state=\"'</script>");
    let html = filled(PageKind::Success, SUCCESS, &values);
    let js = r"cursor:\u002f\u002fcb?code\u003dc\u0026state\u003d\u0022\u0027\u003c\u002fscript\u003e";
    let attribute = "cursor://cb?code=c&amp;state=&#34;&#39;&lt;/script&gt;";
    for part in [
        format!("window.location.href = \"{js}\";"),
        format!("window.location.replace('{js}')"),
        format!("var target = \"{js}\";"),
        format!("content=\"5; URL='{attribute}'\""),
        format!("<a href=\"{attribute}\" id=\"manual\">"),
        "<h1>Welcome, ada!</h1>".to_owned(),
    ] {
        assert!(html.contains(&part), "{part} is missing in {html}");
    }
    let html = filled(PageKind::Success, SUCCESS, &full().set("RedirectURL", "javascript:alert(1)"));
    assert!(!html.contains("alert") && html.contains("window.location.href = \"#\";"), "{html}");
}

#[test]
fn the_token_goes_into_the_first_form_that_posts() {
    let token = "<input type=\"hidden\" name=\"form_token\" value=\"token-1\">";
    for (source, expected) in [
        (
            "<form></form><form method=post>a</form><form method=post>b</form>",
            format!("<form></form><form method=\"post\">{token}a</form><form method=\"post\">b</form>"),
        ),
        ("<FORM METHOD='Post'></form>", format!("<FORM METHOD='Post'>{token}</form>")),
        ("{{if .Title}}<form method=post>{{end}}a</form>", format!("<form method=\"post\">{token}a</form>")),
        ("<form method=post>{{.FormToken}}</form>", "<form method=\"post\">token-1</form>".to_owned()),
    ] {
        assert_eq!(filled(PageKind::Authorize, source, &full()), expected, "{source}");
    }
    check("<form method='post'></form>", &full(), "<form method='post'></form>");
}
