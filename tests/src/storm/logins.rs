//! Users who log in, refresh and revoke while the disk fails and the proxy is killed: what was answered holds.
//!
//! A request whose connection broke may have been carried out or not. Then a refresh token still works, because the
//! one before stays good for a while; whether a token that was to be revoked still works is [`Alive::Unknown`].

use super::Storm;
use crate::client::MERGED;
use crate::login::{ANN, App, BEN, CALLBACK, code_in, public, tokens};
use crate::world::World;

/// What is known of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alive {
    /// Its tokens work.
    Yes,
    /// They do not.
    No,
    /// It was to be ended, and no answer came.
    Unknown,
}

/// A login, as its client sees it.
#[derive(Debug, Clone)]
pub struct Login {
    app: App,
    access: String,
    refresh: String,
    alive: Alive,
}

impl Storm {
    /// Everybody needs a token; of these the first is never revoked.
    pub(super) fn first_logins(&mut self) {
        for user in ["ann", "ben"] {
            let app = self.world.app(user);
            let tokens = self.world.log_in(&app, user, &[]);
            let (access, refresh) = (tokens.access, tokens.refresh);
            self.logins.push(Login { app, access, refresh, alive: Alive::Yes });
        }
    }

    /// A token that opens a server.
    pub(super) fn a_token(&mut self, _server: &str) -> Option<String> {
        let alive = |login: &&Login| login.alive == Alive::Yes;
        let all: Vec<String> = self.logins.iter().filter(alive).map(|login| login.access.clone()).collect();
        (!all.is_empty()).then(|| self.dice.pick(&all).clone())
    }

    /// One deed of somebody who logs in.
    pub(super) fn act_login(&mut self) {
        self.until_open();
        match self.dice.below(10) {
            0 => {
                self.tally.request("registration");
                let xid = self.world.begin_registration(&public("Guest", CALLBACK));
                let answer = self.world.ended(xid);
                self.check_status(answer.status(), &[201]);
                if let Some(secret) = answer
                    .head
                    .as_ref()
                    .and_then(|_| answer.json()["client_secret"].as_str().map(str::to_owned))
                {
                    self.world.watch.guard(&secret);
                }
            }
            1..4 => self.log_in(),
            4..8 => self.refresh(),
            8 => self.revoke(),
            _ => self.fail_to_log_in(),
        }
    }

    /// What is asked here is waited for, so the proxy must be there. One that could not read its store when it was started
    /// has ended with that: it is started again, as systemd does.
    fn until_open(&mut self) {
        let is_open = |w: &World| w.is_listening() && w.watch.logged("servers are ready");
        self.world.run_until("a proxy that is open, or has ended", |w| w.stopped.is_some() || is_open(w));
        if self.world.stopped.is_some() {
            self.kill();
            self.world.until_open();
        }
    }

    /// A status that it should have, none because of the network, or 503 because of the disk.
    fn check_status(&mut self, status: u16, good: &[u16]) {
        let disk = &self.world.disk;
        let broken = disk.full || disk.full_after.is_some() || disk.unreadable.is_some() || disk.slow_ms > 0;
        let fine = good.contains(&status) || status == 0 || status == 503;
        assert!(fine, "status {status}, good ones are {good:?}, the disk is broken: {broken}");
        self.tally.answer(&format!("login: status {status}"));
    }

    fn log_in(&mut self) {
        if self.logins.len() > 12 {
            return;
        }
        self.tally.request("login");
        let app = self.dice.pick(&self.logins).app.clone();
        let user = *self.dice.pick(&["ann", "ben"]);
        let page = self.world.get(&self.world.authorize_path(&app, &[]));
        self.check_status(page.status(), &[200]);
        if page.status() != 200 {
            return;
        }
        let form = crate::login::Form::of(&page);
        let answer = self.world.sign_in(&form, user, if user == "ann" { ANN } else { BEN });
        self.check_status(answer.status(), &[200, 302, 303, 429]);
        let Some(code) = code_in(&answer) else { return };
        let answer = self.world.redeem(&app, &code);
        self.check_status(answer.status(), &[200]);
        if answer.status() == 200 {
            let tokens = tokens(&answer);
            let (access, refresh) = (tokens.access, tokens.refresh);
            self.logins.push(Login { app, access, refresh, alive: Alive::Yes });
        }
    }

    fn fail_to_log_in(&mut self) {
        self.tally.request("login with a wrong password");
        let app = self.dice.pick(&self.logins).app.clone();
        let page = self.world.get(&self.world.authorize_path(&app, &[]));
        self.check_status(page.status(), &[200]);
        if page.status() == 200 {
            let form = crate::login::Form::of(&page);
            let answer = self.world.sign_in(&form, "nobody", "wrong");
            self.check_status(answer.status(), &[200, 401, 429]);
            assert_eq!(code_in(&answer), None);
        }
    }

    fn refresh(&mut self) {
        let Some(at) = self.living(0) else { return };
        self.tally.request("refresh");
        let (app, refresh) = (self.logins[at].app.clone(), self.logins[at].refresh.clone());
        let answer = self.world.refresh(&app, &refresh);
        self.check_status(answer.status(), &[200]);
        if answer.status() == 200 {
            let tokens = tokens(&answer);
            (self.logins[at].access, self.logins[at].refresh) = (tokens.access, tokens.refresh);
        }
    }

    fn revoke(&mut self) {
        let Some(at) = self.living(2) else { return };
        self.tally.request("revocation");
        let (app, token) = (self.logins[at].app.clone(), self.logins[at].refresh.clone());
        let answer = self.world.revoke(&app, &token);
        self.check_status(answer.status(), &[200]);
        self.logins[at].alive = match answer.status() {
            200 => Alive::No,
            0 => Alive::Unknown,
            _ => Alive::Yes,
        };
    }

    /// The place of a login that works, from a place on.
    fn living(&mut self, from: usize) -> Option<usize> {
        let alive = |at: &usize| self.logins[*at].alive == Alive::Yes;
        let all: Vec<usize> = (from..self.logins.len()).filter(alive).collect();
        (!all.is_empty()).then(|| *self.dice.pick(&all))
    }

    /// Every token does what it should.
    pub(super) fn prove_logins(&mut self) {
        for at in 0..self.logins.len() {
            let login = self.logins[at].clone();
            let status = self.world.opens(MERGED, &login.access);
            match login.alive {
                // Where few sessions are allowed there may be no room for one more.
                Alive::Yes => {
                    assert!(status == 200 || status == 503 && self.plan.tight, "{status} {login:?}")
                }
                Alive::No => assert_eq!(status, 401, "{login:?}"),
                Alive::Unknown => assert!(matches!(status, 200 | 401 | 503), "{status} {login:?}"),
            }
        }
    }
}
