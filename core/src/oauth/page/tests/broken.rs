//! OA-191: a template that cannot be loaded says where and why, and the former one stays.

use super::*;

/// Template, line, column, and a part of the message.
const BROKEN: &[(&str, usize, usize, &str)] = &[
    // Actions
    ("a\n b{{.Title", 2, 3, "not closed"),
    ("{{.Title}", 1, 9, "unexpected character `}`"),
    ("{{", 1, 1, "not closed"),
    ("{{}}", 1, 3, "expected a value"),
    ("é{{.Tutle}}", 1, 10, "no variable `.Tutle`"),
    ("{{Title}}", 1, 8, "function `Title`"),
    ("{{.Title.Length}}", 1, 9, "no fields"),
    ("{{$x := .Title}}", 1, 3, "variables are not supported"),
    ("{{range .Title}}{{end}}", 1, 8, "`range`"),
    ("{{define \"x\"}}{{end}}", 1, 9, "`define`"),
    ("{{template \"x\"}}", 1, 11, "`template`"),
    ("{{block \"x\" .}}{{end}}", 1, 8, "`block`"),
    ("{{break}}", 1, 8, "`break`"),
    ("{{len .Title}}", 1, 13, "function `len`"),
    ("{{print .Title .Hint}}", 1, 21, "wrong number"),
    ("{{printf \"%d\" .Title}}", 1, 21, "only `printf"),
    ("{{not .Title .Hint}}", 1, 19, "wrong number"),
    ("{{if eq .Title}}{{end}}", 1, 15, "wrong number"),
    ("{{.Title .Hint}}", 1, 10, "expected `}}`"),
    ("{{.Title | .Hint}}", 1, 17, "piped into a function"),
    ("{{if and .Title not .Hint}}{{end}}", 1, 20, "needs parentheses"),
    ("{{if (.Title}}{{end}}", 1, 13, "expected `)`"),
    ("{{((((((((((.Title))))))))))}}", 1, 12, "too many parentheses"),
    ("{{print \"a}}", 1, 9, "string is not closed"),
    ("{{print \"a\n\"}}", 1, 9, "string is not closed"),
    ("{{print `a}}", 1, 9, "string is not closed"),
    ("{{print \"\\x41\"}}", 1, 9, "unknown escape"),
    ("{{/* a", 1, 3, "comment is not closed"),
    ("{{/* a */ .Title}}", 1, 11, "expected `}}`"),
    ("{{3}}", 1, 3, "unexpected character `3`"),
    ("{{if}}{{end}}", 1, 5, "expected a value"),
    ("{{.}}", 1, 1, "`with`"),
    ("{{with or .Title .Hint}}{{end}}", 1, 1, "needs a variable"),
    // Blocks
    ("\n{{if .Title}}", 2, 1, "not closed by `{{end}}`"),
    ("{{end}}", 1, 1, "`end` without"),
    ("{{else}}", 1, 1, "`else` without"),
    ("{{if .Title}}{{else}}{{else}}{{end}}", 1, 22, "`else` without"),
    ("{{if .Title}}{{else with .Hint}}{{end}}", 1, 25, "only `if` may follow"),
    ("{{if .Title}}<p title=\"{{end}}\">", 1, 24, "different places"),
    ("{{if .Title}}<b>{{else}}<script>{{end}}</script>", 1, 33, "different places"),
    ("<p title={{if .Title}}{{.Title}}{{end}}>", 1, 33, "different places"),
    // Places without values
    ("<{{.Title}}>", 1, 1, "cuts a tag"),
    ("<p{{.Title}}>", 1, 3, "name of an element"),
    ("<p {{.Title}}>", 1, 4, "name of an attribute"),
    ("<p {{.Title}}=\"x\">", 1, 4, "name of an attribute"),
    ("<p a{{.Title}}=\"x\">", 1, 5, "name of an attribute"),
    ("<p style=\"color:{{.Title}}\">", 1, 17, "in a style"),
    ("<p onclick=\"f('{{.Title}}')\">", 1, 16, "`on…`"),
    ("<iframe srcdoc=\"{{.Title}}\">", 1, 17, "page of its own"),
    ("<img srcset=\"{{.Title}}\">", 1, 14, "list of URLs"),
    ("<script src=\"{{.RedirectURL}}\"></script>", 1, 14, "code is loaded"),
    ("<base href=\"{{.Title}}\">", 1, 13, "code is loaded"),
    ("<link href=\"{{.Title}}\">", 1, 13, "code is loaded"),
    ("<input type=\"{{.Title}}\">", 1, 14, "decides"),
    ("<meta http-equiv=\"{{.Title}}\">", 1, 19, "decides"),
    ("<meta http-equiv=\"refresh\" content=\"{{.Title}}\">", 1, 48, "behind `url=`"),
    ("<meta content={{.Title}} http-equiv=refresh>", 1, 44, "behind `url=`"),
    ("<script nonce=\"{{.Title}}\"></script>", 1, 16, "only `.CSPNonce`"),
    ("<a href=\"java{{.Title}}\">", 1, 14, "scheme or the host"),
    ("<a href=\"javascript:f('{{.Title}}')\">", 1, 24, "scheme or the host"),
    ("<a href=\"&#106;{{.Title}}\">", 1, 16, "scheme or the host"),
    ("<a href=\"{{.Title}}{{.Hint}}\">", 1, 20, "scheme or the host"),
    ("<!-- {{.Title}} -->", 1, 6, "in a comment"),
    ("<!DOCTYPE {{.Title}}>", 1, 11, "in a declaration"),
    ("<style>a { color: {{.Title}} }</style>", 1, 19, "content of `style`"),
    ("<iframe>{{.Title}}</iframe>", 1, 9, "content of `iframe`"),
    // Scripts
    ("<script>`{{.Title}}`</script>", 1, 10, "template literal"),
    ("<script>a = `${b}`; c = {{.Title}}</script>", 1, 25, "template literal"),
    ("<script>a = /{{.Title}}/</script>", 1, 14, "regular expression"),
    ("<script>(a) / 2; b = \"{{.Title}}\"</script>", 1, 23, "regular expression"),
    ("<script>// {{.Title}}\n</script>", 1, 12, "comment of a script"),
    ("<script>/* {{.Title}} */</script>", 1, 12, "comment of a script"),
    ("<script>\"\\{{.Title}}\"</script>", 1, 11, "backslash"),
    ("<script>\"a\n{{.Title}}\"</script>", 2, 1, "not closed on its line"),
    ("<script>--> {{.Title}}</script>", 1, 13, "`-->`"),
    ("<script><!-- {{.Title}}</script>", 1, 9, "`<!--` in a script"),
    ("<script type=\"text/template\">{{.Title}}</script>", 1, 30, "script of this type"),
    ("<script>\"</scr{{.Title}}\"</script>", 1, 9, "cuts"),
    // Markup nobody can judge
    ("<p title=\"a", 1, 12, "ends within a tag"),
    ("<!-- a", 1, 7, "ends within a comment"),
    ("<script>a", 1, 10, "ends within `script`"),
    ("<html><body><p>a</body>", 1, 24, "`</html>` is missing"),
    ("<html>\n<body>\n<p>half a pag", 3, 14, "`</body>` is missing"),
    ("<form method=post>\n<input name=username>\n", 3, 1, "`</form>` is missing"),
    ("<title>a", 1, 9, "ends within `title`"),
    ("a <", 1, 3, "cuts a tag"),
    ("a </>", 1, 3, "without a name"),
    ("<?php ?>", 1, 1, "without a name"),
    ("<![CDATA[a]]>", 1, 1, "`<![`"),
    ("<!ELEMENT a>", 1, 1, "`<!`"),
    ("<!-->a-->", 1, 1, "may end it"),
    ("<!-- -{{/* a */}}->", 1, 5, "next to `-`"),
    ("<p title=>", 1, 10, "expected the value"),
    ("<p =a>", 1, 4, "before `=`"),
    ("<p title=\"a\"\">", 1, 13, "quote missing"),
    ("<plaintext>a", 1, 11, "`plaintext`"),
    ("<svg><style>a</style></svg>", 1, 12, "inside `svg`"),
    ("<svg><foreignObject></foreignObject></svg>", 1, 20, "inside `svg`"),
    ("<noscript><!-- </noscript> --></noscript>", 1, 15, "with and without scripts"),
    ("<noscript><p title=\"</noscript>\"></noscript>", 1, 21, "with and without scripts"),
    ("a\u{7}", 1, 2, "control character"),
    ("a\nb\u{1}{{.Title}}\u{2}", 2, 2, "control character"),
];

#[test]
fn errors_have_a_place_and_a_reason() {
    let mut pages = Pages::new();
    pages.put(PageKind::Success, Some(b"former")).expect("a good template");
    let mut wrong = Vec::new();
    for (source, line, column, reason) in BROKEN {
        let error = pages.put(PageKind::Success, Some(source.as_bytes())).err();
        let found = error.as_ref().map(|error| (error.line, error.column, error.message.contains(reason)));
        if found != Some((*line, *column, true)) {
            wrong.push(format!("{source:?}: {error:?}"));
        }
        assert_eq!(pages.render(PageKind::Success, &full()), "former", "{source:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(
        pages.put(PageKind::Success, Some(b"{{.Nothing}}")).expect_err("an error").to_string(),
        "line 1, column 11: there is no variable `.Nothing`"
    );
}

#[test]
fn bytes_that_are_no_text_are_an_error() {
    let mut pages = Pages::new();
    let error = pages.put(PageKind::Error, Some(b"a\nb\xff")).expect_err("an error");
    assert_eq!((error.line, error.column, error.message.as_str()), (2, 2, "the template is not UTF-8"));
}

#[test]
fn the_length_of_a_template_is_limited() {
    let mut pages = Pages::new();
    let mut source = vec![b'a'; SOURCE_BYTES_MAX];
    assert_eq!(pages.put(PageKind::Error, Some(&source)), Ok(()));
    source.push(b'a');
    let error = pages.put(PageKind::Error, Some(&source)).expect_err("an error");
    assert!(error.message.contains("longer than 262144 bytes"), "{error}");
    assert_eq!(pages.render(PageKind::Error, &full()).len(), SOURCE_BYTES_MAX);
}

#[test]
fn the_depth_of_blocks_is_limited() {
    let nested = |count: usize| "{{if .Title}}".repeat(count) + "a" + &"{{end}}".repeat(count);
    let chained = |count: usize| "{{if .Hint}}".to_owned() + &"{{else if .Title}}a".repeat(count) + "{{end}}";
    check(&nested(32), &full(), "a");
    check(&chained(31), &full().set("Hint", ""), "a");
    for source in [nested(33), nested(5000), chained(32), chained(5000)] {
        let error = Pages::new().put(PageKind::Error, Some(source.as_bytes())).expect_err("an error");
        assert!(error.message.contains("more than 32 blocks"), "{error}");
    }
    let many = format!("{{{{if or{}}}}}{{{{end}}}}", " .Title".repeat(17));
    let error = Pages::new().put(PageKind::Error, Some(many.as_bytes())).expect_err("an error");
    assert!(error.message.contains("more than 16 arguments"), "{error}");
    let long = format!("{{{{.{}}}}}", "a".repeat(1000));
    let error = Pages::new().put(PageKind::Error, Some(long.as_bytes())).expect_err("an error");
    assert_eq!(error.message.chars().count(), 201);
}

/// Every prefix of the built-in pages, and every page with a character missing: loaded or refused, never worse.
#[test]
fn damaged_templates_do_no_harm() {
    let mut pages = Pages::new();
    for kind in PageKind::ALL {
        let source = kind.source();
        for (at, c) in source.char_indices().step_by(41) {
            let (before, after) = source.split_at(at);
            let _ = pages.put(kind, Some(before.as_bytes()));
            let without = before.to_owned() + &after[c.len_utf8()..];
            let _ = pages.put(kind, Some(without.as_bytes()));
            assert!(!pages.render(kind, &full()).contains(['\u{1}', '\u{2}', '\u{3}', '\u{4}']));
        }
    }
}

/// What looks odd and is fine.
#[test]
fn unusual_templates_are_loaded() {
    for (source, expected) in [
        ("a < b << c && d > e", "a < b << c && d > e"),
        ("<p {{if .Title}}hidden{{end}}>", "<p hidden >"),
        ("<p{{if .Title}} hidden{{else}} title=\"a\"{{end}}>", "<p  hidden >"),
        ("<p class=\"a{{if .Title}} b{{end}}\">", "<p class=\"a b\">"),
        ("<a href=\"{{if .Title}}/a{{else}}/b{{end}}/{{.RetryText}}\">", "<a href=\"/a/Start%20again\">"),
        ("<a href=\"{{.FormAction}}?a={{.ResponseType}}\">", "<a href=\"/oauth/authorize?a=code\">"),
        ("<textarea>{{.Title}}</b></textarea>", "<textarea>Unknown application</b></textarea>"),
        ("<TITLE>{{.Title}}</TiTlE >", "<TITLE>Unknown application</TiTlE >"),
        (
            "<svg><title>{{.Title}}</title></svg><title>x</title>",
            "<svg><title>Unknown application</title></svg><title>x</title>",
        ),
        ("<svg/><title><b>{{.Hint}}</title>", "<svg/><title><b>Connect again.</title>"),
        ("<!-- a -- b - c --!><p>", "<!-- a -- b - c --!><p>"),
        (
            "<script nonce>a = b / c; d = \"{{.Username}}\"</script>",
            "<script nonce>a = b / c; d = \"ada\"</script>",
        ),
        (
            "<script nonce>if (a <b) c(`d\"`, {{.Username}})</script>",
            "<script nonce>if (a <b) c(`d\"`, \"ada\")</script>",
        ),
        (
            "<script nonce>return /[/\"]/g.x(\"{{.Username}}\")</script>",
            "<script nonce>return /[/\"]/g.x(\"ada\")</script>",
        ),
        (
            "<script nonce>{{if .Title}}a(){{else}}b = 1{{end}}; c({{.Username}})</script>",
            "<script nonce>a(); c(\"ada\")</script>",
        ),
        (
            "<script nonce>(a) / 2; `${b}`; // it's\n</script>",
            "<script nonce>(a) / 2; `${b}`; // it's\n</script>",
        ),
        (
            "<style nonce>a::before { content: '</b>' }</style>",
            "<style nonce>a::before { content: '</b>' }</style>",
        ),
        ("<p\r\n\ttitle = 'a>b'\r\n>", "<p\r\n\ttitle = 'a>b'\r\n>"),
        ("<br/><input value=a/>{{.Username}}", "<br/><input value=\"a/\">ada"),
    ] {
        check(source, &full(), expected);
    }
}

#[test]
fn a_login_page_that_was_cut_off_anywhere_is_not_put_in_force() {
    // FT-511
    let whole = PageKind::Authorize.source();
    let mut pages = Pages::new();
    pages.replace(PageKind::Authorize, Some(whole.as_bytes())).unwrap();
    for (at, _) in whole.char_indices() {
        let (part, rest) = whole.split_at(at);
        let put = pages.replace(PageKind::Authorize, Some(part.as_bytes()));
        assert_eq!(put.is_ok(), rest.trim().is_empty(), "{at}: {put:?}");
    }
    for source in ["<p>Hello", "<form method=\"get\"></form>", "<!-- <form method=post></form> -->"] {
        let error = pages.replace(PageKind::Authorize, Some(source.as_bytes())).unwrap_err();
        assert!(error.message.contains("no form that posts"), "{source}: {error}");
    }
    let commented = "<!-- <html><body> -->{{/* <form> */}}<form method=post></form>";
    assert_eq!(pages.put(PageKind::Authorize, Some(commented.as_bytes())), Ok(()));
}
