//! Pages of the operator that change while the proxy runs.

use super::one;
use mcp_proxy_core::event::StoreKey;
use mcp_proxy_core::oauth::page::PageKind;
use mcp_proxy_tests::login::App;
use mcp_proxy_tests::story::story_of;
use mcp_proxy_tests::world::World;
use serde_json::json;

fn edit(w: &mut World, kind: PageKind, text: &str) {
    w.disk.put(StoreKey::Page(kind), text);
}

/// How often the log told that a template cannot be used.
fn told(w: &World) -> usize {
    w.watch.records.iter().filter(|(_, record)| record.message.contains("template_error")).count()
}

#[test]
fn a_template_that_was_cut_off_while_it_was_written_leaves_the_last_good_one() {
    // FT-511
    story_of([0, 1], one().with_logins(&json!({})), |w| {
        w.until_open();
        let app = w.app("Guest");
        let form = w.authorize_path(&app, &[]);
        let unknown = w.authorize_path(&App::new("mcpx_ghost", "http://127.0.0.1:1/cb"), &[]);
        for (kind, path) in [(PageKind::Authorize, &form), (PageKind::Error, &unknown)] {
            let source = kind.source();
            let mine = source.replacen("<body>", "<body><p>of the house</p>", 1);
            edit(w, kind, &mine);
            assert!(w.get(path).body.contains("of the house"), "{kind:?}");
            let broken = source.replacen("<body>", "<body><p>half a page</p>", 1);
            let end = broken.len();
            for cut in [0, 20, end / 3, end / 2, end - 400, end - 60, end - 20, end - 9, end - 3] {
                let cut = (0..=cut).rev().find(|at| broken.is_char_boundary(*at)).unwrap();
                let before = told(w);
                edit(w, kind, &broken[..cut]);
                let page = w.get(path);
                assert!(page.body.contains("of the house"), "{kind:?} {cut}: {}", page.body);
                assert!(!page.body.contains("half a page"), "{kind:?} {cut}");
                assert!(told(w) >= before, "{kind:?} {cut}");
            }
            assert!(told(w) > 0, "{kind:?}");
            edit(w, kind, &broken);
            assert!(w.get(path).body.contains("half a page"), "{kind:?}");
        }
    });
}
