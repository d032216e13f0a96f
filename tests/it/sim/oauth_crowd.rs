//! Many users and applications at once, with killed processes and full disks in between: whatever was answered holds,
//! whatever has ended stays so, and every request has one answer. `SIM_SEEDS=n` for a long run.

use super::three;
use mcp_proxy_tests::dice::Dice;
use mcp_proxy_tests::login::{Answer, App, CALLBACK, Tokens, public, tokens};
use mcp_proxy_tests::story::{seeds, story_of};
use mcp_proxy_tests::world::World;
use serde_json::json;
use std::net::IpAddr;

const USERS: [&str; 2] = ["ann", "ben"];
const SERVERS: [&str; 3] = ["fs", "web", "old"];
/// Shorter than the grace of a refresh token and longer than anything takes.
const GRACE_MS: u64 = 120_000;

/// A login as its client sees it.
struct Login {
    app: App,
    /// `None` is all servers.
    server: Option<&'static str>,
    access: Vec<String>,
    refresh: String,
    /// Refresh tokens that were used, and when.
    used: Vec<(String, u64)>,
    alive: bool,
}

struct Crowd {
    dice: Dice,
    apps: Vec<App>,
    logins: Vec<Login>,
    deeds: u32,
}

#[test]
fn whatever_happens_what_was_answered_holds() {
    // OA-173, OA-177, T-40, T-41
    story_of(seeds(300, 4), three().with_logins(&json!({})), |w| {
        w.until_open();
        let mut crowd = Crowd { dice: Dice::new(w.seed), apps: Vec::new(), logins: Vec::new(), deeds: 0 };
        crowd.apps.push(w.app("First"));
        for _ in 0..100 {
            crowd.act(w);
            if crowd.deeds.is_multiple_of(20) {
                crowd.check(w);
            }
            let pause_ms = crowd.dice.below(1_500);
            w.run_ms(pause_ms);
        }
        w.disk.full = false;
        crowd.check(w);
        crowd.check_refreshes(w);
    });
}

impl Crowd {
    fn act(&mut self, w: &mut World) {
        self.deeds += 1;
        let from = self.dice.below(200) as u8;
        w.visitors_from = IpAddr::from([198, 51, 100, from]);
        match self.dice.below(100) {
            0..8 => self.register(w),
            8..30 => self.log_in(w),
            30..60 => self.refresh(w),
            60..66 => self.refresh_late(w),
            66..74 => self.revoke(w),
            74..82 => self.present_nonsense(w),
            82..88 => w.disk.full = !w.disk.full,
            88..92 => w.disk.full_after = Some(self.dice.below(4) as u32),
            92..96 => w.disk.full_after = None,
            _ => self.crash(w),
        }
    }

    fn pick(&mut self, alive: bool) -> Option<usize> {
        let all: Vec<usize> = (0..self.logins.len()).filter(|at| self.logins[*at].alive == alive).collect();
        (!all.is_empty()).then(|| *self.dice.pick(&all))
    }

    fn register(&mut self, w: &mut World) {
        let metadata = public(&format!("Guest {}", self.deeds), CALLBACK);
        let (full, answer) = (is_full(w), w.register(&metadata));
        if is_good(&answer, 201, full) {
            self.apps.push(App::new(answer.json()["client_id"].as_str().expect("an id"), CALLBACK));
        }
    }

    fn log_in(&mut self, w: &mut World) {
        let app = App { pkce: self.dice.below(4) as usize, ..self.dice.pick(&self.apps).clone() };
        let user = *self.dice.pick(&USERS);
        let server = self.dice.chance(500).then(|| *self.dice.pick(&SERVERS));
        let mine = self.logins.iter().filter(|login| login.alive && login.app.id == app.id).count();
        if mine > 15 {
            // The oldest of very many would end.
            return;
        }
        let url = server.map(|server| w.url(server)).unwrap_or_default();
        let code = w.code(&app, user, &[("resource", &url)]);
        let (full, mut answer) = (is_full(w), w.redeem(&app, &code));
        if answer.status() == 503 {
            assert!(full, "{answer:?}");
            let before = (w.disk.full, w.disk.full_after);
            (w.disk.full, w.disk.full_after) = (false, None);
            answer = w.redeem(&app, &code);
            (w.disk.full, w.disk.full_after) = before;
        }
        assert_eq!(answer.status(), 200, "{answer:?}");
        let Tokens { access, refresh, .. } = tokens(&answer);
        self.logins.push(Login { app, server, access: vec![access], refresh, used: Vec::new(), alive: true });
    }

    /// Refreshes, once or several times at once.
    fn refresh(&mut self, w: &mut World) {
        let Some(at) = self.pick(true) else { return };
        let count = if self.dice.chance(300) { 3 } else { 1 };
        let crashes = self.dice.chance(100);
        let (app, refresh) = (self.logins[at].app.clone(), self.logins[at].refresh.clone());
        let full = is_full(w);
        let all: Vec<_> = (0..count).map(|_| w.begin_refresh(&app, &refresh)).collect();
        if crashes {
            let after_ms = self.dice.below(12);
            w.run_ms(after_ms);
            restart(w);
            // Nobody knows whether it was used; the same one still works, for a while.
            self.renew(w, at, 1);
            return;
        }
        let answers: Vec<Answer> = all.into_iter().map(|xid| w.issued(xid)).collect();
        let good: Vec<Tokens> =
            answers.iter().filter(|answer| is_good(answer, 200, full)).map(tokens).collect();
        assert!(good.iter().all(|each| *each == good[0]), "one successor");
        if let Some(tokens) = good.into_iter().next() {
            self.take(w, at, tokens);
        }
    }

    /// Refreshes on a disk with room.
    fn renew(&mut self, w: &mut World, at: usize, times: u32) {
        (w.disk.full, w.disk.full_after) = (false, None);
        for _ in 0..times {
            let (app, refresh) = (self.logins[at].app.clone(), self.logins[at].refresh.clone());
            let tokens = w.renewed(&app, &refresh);
            self.take(w, at, tokens);
        }
    }

    fn take(&mut self, w: &World, at: usize, tokens: Tokens) {
        let login = &mut self.logins[at];
        login.access.push(tokens.access);
        let used = std::mem::replace(&mut login.refresh, tokens.refresh);
        login.used.push((used, w.now_ms()));
    }

    /// Somebody uses an old refresh token.
    fn refresh_late(&mut self, w: &mut World) {
        let Some(at) = self.pick(true) else { return };
        let now = w.now_ms();
        let old = self.logins[at].used.iter().find(|(_, used)| now > used + GRACE_MS + 5_000).cloned();
        let Some((old, _)) = old else { return };
        let app = self.logins[at].app.clone();
        let (full, answer) = (is_full(w), w.refresh(&app, &old));
        if answer.status() == 503 {
            assert!(full, "{answer:?}");
        } else {
            assert_eq!(answer.error(), (400, "invalid_grant".to_owned()));
            self.logins[at].alive = false;
        }
    }

    fn revoke(&mut self, w: &mut World) {
        let Some(at) = self.pick(true) else { return };
        let (app, token) = (self.logins[at].app.clone(), self.logins[at].refresh.clone());
        if self.dice.chance(200) {
            let after_ms = self.dice.below(12);
            w.begin_form(&app, "revoke", &[("token", &token)]);
            w.run_ms(after_ms);
            restart(w);
            // It has happened, or not; asked for again it has.
            (w.disk.full, w.disk.full_after) = (false, None);
            assert_eq!(w.revoke(&app, &token).status(), 200);
            self.logins[at].alive = false;
            return;
        }
        let (full, answer) = (is_full(w), w.revoke(&app, &token));
        self.logins[at].alive = !is_good(&answer, 200, full);
    }

    fn present_nonsense(&mut self, w: &mut World) {
        let app = self.dice.pick(&self.apps).clone();
        let token = format!("mcpx_rt_{:043}", self.dice.roll());
        assert_eq!(w.refresh(&app, &token).error(), (400, "invalid_grant".to_owned()));
        assert_eq!(w.redeem(&app, &token).error(), (400, "invalid_grant".to_owned()));
        assert_eq!(w.revoke(&app, &token).status(), 200);
        if let Some(at) = self.pick(false) {
            let login = &self.logins[at];
            assert_eq!(w.refresh(&login.app, &login.refresh).error(), (400, "invalid_grant".to_owned()));
        }
    }

    fn crash(&mut self, w: &mut World) {
        w.begin_registration(&public(&format!("Lost {}", self.deeds), CALLBACK));
        let after_ms = self.dice.below(10);
        w.run_ms(after_ms);
        restart(w);
        self.check(w);
    }

    /// Every token does what it should.
    fn check(&mut self, w: &mut World) {
        for login in &self.logins {
            for access in login.access.iter().rev().take(2) {
                let own = login.server.unwrap_or("fs");
                assert_eq!(w.opens(own, access), if login.alive { 200 } else { 401 }, "{own}");
                let other = if own == "web" { "old" } else { "web" };
                let opens = login.alive && login.server.is_none();
                assert_eq!(w.opens(other, access), if opens { 200 } else { 401 }, "{other}");
            }
        }
        // Each greeting was a connection of its own.
        w.clients.iter_mut().for_each(|client| client.exchanges.clear());
    }

    fn check_refreshes(&mut self, w: &mut World) {
        for at in 0..self.logins.len() {
            if self.logins[at].alive {
                self.renew(w, at, 2);
            } else {
                let login = &self.logins[at];
                assert_eq!(w.refresh(&login.app, &login.refresh).error(), (400, "invalid_grant".to_owned()));
            }
        }
        self.check(w);
        for app in &self.apps {
            w.open_form(app, &[]);
        }
    }
}

fn restart(w: &mut World) {
    w.crash_here();
    w.until_open();
}

fn is_full(w: &World) -> bool {
    w.disk.full || w.disk.full_after.is_some()
}

/// Whether it worked; if not, the disk must have been full.
fn is_good(answer: &Answer, status: u16, full: bool) -> bool {
    if answer.status() == 503 {
        assert!(full && answer.error().1 == "temporarily_unavailable", "{answer:?}");
        return false;
    }
    assert_eq!(answer.status(), status, "{answer:?}");
    true
}
