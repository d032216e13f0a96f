//! The proxy is killed again and again while clients register, log in, redeem, refresh and revoke: whatever was
//! acknowledged holds after the restart, and nothing that was used up works again.
//!
//! ```text
//!   start ─▶ verify what is recent, and a sample of the rest ─▶ clients at work ─▶ SIGKILL ─┐
//!     ▲                                                                                    │
//!     └────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//! The moment of death is chosen by a seeded generator: some turns of the event loop after a certain request was sent,
//! whose answer, like those of all others under way, may come or not. What was asked for and not answered is in doubt,
//! and nothing is expected of it. No refresh token may come twice here (there is no grace), so its reuse, which ends
//! its family by design, is tried with families that are given up for that.
//!
//! `KILLS` says how often (25 unless it does), `SEED` from where the generator starts.

use super::browser::{
    Answer, App, CALLBACK, Form, STORE, Tokens, Visit, assert_dead, browser, guarded, knock, password,
    post_form, registration,
};
use super::proxy::{Proxy, Scratch};
use super::upstream::{Up, Upstream};
use futures::future::{join, join_all};
use reqwest::RequestBuilder;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::path::Path;

/// Clients at work at the same time.
const WORKERS: u64 = 4;
/// The proxy lives for at most so many requests.
const REQUESTS_MAX: u64 = 60;
/// Logins through one app: beyond 20 a new one ends the oldest.
const LOGINS_MAX: u32 = 15;
/// How many older things are looked at after each restart.
const SAMPLE: usize = 6;

#[tokio::test]
async fn what_was_acknowledged_survives_every_kill() {
    // T-40, OA-173, OA-87
    let (kills, seed) = (number("KILLS", 25), number("SEED", 20_261_125));
    let home = Scratch::empty();
    let upstream = Upstream::start(Up::Streamable).await;
    let more = json!({"refreshGraceSeconds": 0, "maxClients": 100_000});
    let config = guarded(home.path(), json!({"a": upstream.config}), &more);
    let mut dice = Dice(seed);
    let mut model = Model::default();
    for kill in 0..kills {
        let mut proxy = start(&config, &mut model).await;
        model.verify(&mut dice, SAMPLE).await;
        work(&mut proxy, &mut model, Dice(dice.next())).await;
        assert_eq!(proxy.ended().await.code(), None, "kill {kill}: it ended by itself");
    }
    let proxy = start(&config, &mut model).await;
    model.verify(&mut dice, usize::MAX).await;
    drop(proxy);
    assert_tidy(home.path());
    let Model { apps, acknowledged, checked, .. } = &model;
    let summary = format!("{kills} kills (SEED={seed}): acknowledged {acknowledged:?}, checked {checked:?}");
    tell(&summary);
    assert!(apps.len() > 3 && acknowledged.grants > 0 && acknowledged.refreshes > 0, "{summary}");
}

/// Starts it on what is there.
async fn start(config: &Value, model: &mut Model) -> Proxy {
    let proxy = Proxy::start(config.clone(), &[]).await;
    proxy.logged("servers are ready").await;
    for app in &mut model.apps {
        app.app.base = proxy.url("");
    }
    model.base = proxy.url("");
    proxy
}

/// Lets clients work until the proxy is dead.
async fn work(proxy: &mut Proxy, model: &mut Model, mut dice: Dice) {
    let life = Life {
        proxy,
        requests: Cell::new(1 + dice.below(REQUESTS_MAX)),
        turns: if dice.one_in(2) { dice.below(60) } else { dice.below(4_000) },
    };
    let dices: Vec<Dice> = (0..WORKERS).map(|_| Dice(dice.next())).collect();
    let shared = RefCell::new(model);
    let workers = dices.into_iter().map(|mut dice| {
        let (life, shared) = (&life, &shared);
        async move { while cycle(life, shared, &mut dice).await.is_some() {} }
    });
    join_all(workers).await;
}

/// One login with everything that follows. `None` when the proxy has died.
async fn cycle(life: &Life<'_>, model: &RefCell<&mut Model>, dice: &mut Dice) -> Option<()> {
    let known = model.borrow_mut().known_app(dice);
    let place = match known {
        Some(place) => place,
        None => register(life, model).await?,
    };
    let app = model.borrow_mut().login_through(place);
    let visit = app.visit();
    let page = life.send(browser().get(format!("{}/oauth/authorize?{}", app.base, visit.query()))).await?;
    let form = Form::of(&app.base, &page);
    let user = if dice.one_in(2) { "ann" } else { "bob" };
    let code = life.send(form.post(user, password(user))).await?.code();
    model.borrow_mut().codes.push(Used::new(place, &visit, &code));
    if dice.one_in(8) {
        // Never presented: it dies with the process.
        return Some(());
    }
    let tokens = life.send(app.redemption(&visit, &code)).await?.tokens();
    let mut family = Family {
        app: place,
        access: vec![tokens.access],
        refresh: Some(tokens.refresh),
        retired: Vec::new(),
    };
    model.borrow_mut().acknowledged.grants += 1;
    for _ in 0..dice.below(4) {
        let used = family.refresh.take()?;
        // In doubt until the answer is there; the access tokens so far are not.
        let Some(answer) = life.send(app.refreshing(&used)).await else {
            model.borrow_mut().families.push(family);
            return None;
        };
        family.follow(used, answer.tokens());
        model.borrow_mut().acknowledged.refreshes += 1;
    }
    if dice.one_in(6) {
        let token = family.refresh.clone()?;
        let fields = [("token", token.as_str()), ("client_id", app.id.as_str())];
        let request = post_form(&format!("{}/oauth/revoke", app.base), &fields);
        assert_eq!(life.send(request).await?.status, 200);
        let mut model = model.borrow_mut();
        model.acknowledged.revocations += 1;
        model.dead.push(family);
    } else {
        model.borrow_mut().families.push(family);
    }
    Some(())
}

async fn register(life: &Life<'_>, model: &RefCell<&mut Model>) -> Option<usize> {
    let base = model.borrow().base.clone();
    let metadata = json!({"redirect_uris": [CALLBACK]});
    let answer = life.send(registration(&base, &metadata)).await?;
    assert_eq!(answer.status, 201, "{answer:?}");
    let mut model = model.borrow_mut();
    model.acknowledged.registrations += 1;
    model.apps.push(Registered { app: App::registered(&base, &answer), logins: 0 });
    Some(model.apps.len() - 1)
}

/// One life of the proxy.
struct Life<'a> {
    proxy: &'a Proxy,
    /// After the last of these its end is near.
    requests: Cell<u64>,
    /// How many turns of the event loop there are from that request to the end.
    turns: u64,
}

impl Life<'_> {
    async fn send(&self, request: RequestBuilder) -> Option<Answer> {
        let left = self.requests.get();
        self.requests.set(left.saturating_sub(1));
        if left != 1 {
            return Answer::maybe(request).await;
        }
        let end = async {
            for _ in 0..self.turns {
                tokio::task::yield_now().await;
            }
            self.proxy.signal(Signal::KILL);
        };
        join(Answer::maybe(request), end).await.0
    }
}

/// What the clients were told.
#[derive(Default)]
struct Model {
    base: String,
    apps: Vec<Registered>,
    families: Vec<Family>,
    /// Revoked, or ended by the reuse of a token.
    dead: Vec<Family>,
    /// Codes that were presented, or whose process has died.
    codes: Vec<Used>,
    /// How many of each were there at the last look.
    seen: [usize; 4],
    acknowledged: Acknowledged,
    checked: Checked,
}

#[derive(Debug, Default)]
struct Acknowledged {
    registrations: u32,
    grants: u32,
    refreshes: u32,
    revocations: u32,
}

#[derive(Debug, Default)]
struct Checked {
    registrations: u32,
    access_tokens: u32,
    refresh_tokens: u32,
    retired_tokens: u32,
    dead_families: u32,
    codes: u32,
}

struct Registered {
    app: App,
    logins: u32,
}

struct Used {
    app: usize,
    code: String,
    verifier: String,
}

impl Used {
    fn new(app: usize, visit: &Visit<'_>, code: &str) -> Self {
        Self { app, code: code.to_owned(), verifier: visit.verifier.clone() }
    }
}

/// The tokens of one login.
#[derive(Clone)]
struct Family {
    app: usize,
    access: Vec<String>,
    /// `None` when it is in doubt whether it was used.
    refresh: Option<String>,
    retired: Vec<String>,
}

impl Family {
    fn follow(&mut self, used: String, tokens: Tokens) {
        self.retired.push(used);
        self.access.push(tokens.access);
        self.refresh = Some(tokens.refresh);
    }
}

impl Model {
    /// An app that was registered before, now and then.
    fn known_app(&mut self, dice: &mut Dice) -> Option<usize> {
        let place = dice.pick(self.apps.len()).filter(|_| dice.one_in(2))?;
        (self.apps[place].logins < LOGINS_MAX).then_some(place)
    }

    fn login_through(&mut self, place: usize) -> App {
        self.apps[place].logins += 1;
        self.apps[place].app.clone()
    }

    /// Looks at what is new since the last time, and at some of the rest.
    async fn verify(&mut self, dice: &mut Dice, sample: usize) {
        let lens = [self.apps.len(), self.families.len(), self.dead.len(), self.codes.len()];
        let chosen: Vec<Vec<usize>> =
            lens.iter().zip(self.seen).map(|(len, seen)| dice.choose(*len, seen, sample)).collect();
        for place in &chosen[0] {
            let page = self.apps[*place].app.visit().open().await;
            assert_eq!(page.status, 200, "a registration is lost: {page:?}");
            self.checked.registrations += 1;
        }
        for place in &chosen[3] {
            let Used { app, code, verifier } = &self.codes[*place];
            let fields = [("grant_type", "authorization_code"), ("code", code), ("code_verifier", verifier)];
            let answer = Answer::to(self.apps[*app].app.ask(&fields)).await;
            assert_eq!(answer.error(), (400, "invalid_grant".into()), "a code works again");
            self.checked.codes += 1;
        }
        for place in &chosen[2] {
            let family = self.dead[*place].clone();
            self.assert_dead(&family).await;
        }
        // From the last on, so that taking one out leaves the others where they are.
        for place in chosen[1].iter().rev() {
            self.verify_family(*place, dice).await;
        }
        self.seen = [self.apps.len(), self.families.len(), self.dead.len(), self.codes.len()];
    }

    async fn verify_family(&mut self, place: usize, dice: &mut Dice) {
        let mut family = self.families[place].clone();
        let app = self.apps[family.app].app.clone();
        for token in family.access.iter().rev().take(3) {
            let answer = knock(&app.base, "/a/mcp", token).await;
            assert_eq!(answer.status, 200, "an access token is lost: {answer:?}");
            self.checked.access_tokens += 1;
        }
        let Some(used) = family.refresh.clone() else { return };
        // The file would only grow with a family that is refreshed in every round.
        if family.retired.len() < 20 {
            let answer = app.refresh(&used).await;
            assert_eq!(answer.status, 200, "a refresh token is lost: {answer:?}");
            family.follow(used, answer.tokens());
            self.checked.refresh_tokens += 1;
            self.acknowledged.refreshes += 1;
            self.families[place] = family.clone();
        }
        let given_up = dice.one_in(4);
        if let Some(retired) = dice.pick(family.retired.len()).filter(|_| given_up) {
            let answer = app.refresh(&family.retired[retired]).await;
            assert_eq!(answer.error(), (400, "invalid_grant".into()), "a retired token works again"); // OA-153
            self.checked.retired_tokens += 1;
            self.assert_dead(&family).await;
            self.families.swap_remove(place);
            self.dead.push(family);
        }
    }

    async fn assert_dead(&mut self, family: &Family) {
        let app = &self.apps[family.app].app;
        let access = family.access.last().unwrap().clone();
        assert_dead(app, "/a/mcp", &Tokens { access, refresh: family.refresh.clone().unwrap() }).await;
        self.checked.dead_families += 1;
    }
}

/// Nothing is left over from writes that were cut off, and nothing had to be set aside.
fn assert_tidy(home: &Path) {
    let entries =
        std::fs::read_dir(home).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    assert_eq!(names, ["oauth.lock", STORE]);
}

/// A seeded generator: SplitMix64.
struct Dice(u64);

impl Dice {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    const fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn pick(&mut self, len: usize) -> Option<usize> {
        let len = u64::try_from(len).ok().filter(|len| *len > 0)?;
        usize::try_from(self.below(len)).ok()
    }

    /// All places from `seen` on and a sample of those before, in order.
    fn choose(&mut self, len: usize, seen: usize, sample: usize) -> Vec<usize> {
        let seen = seen.min(len);
        let mut chosen: Vec<usize> = match sample >= seen {
            true => (0..seen).collect(),
            false => (0..sample).filter_map(|_| self.pick(seen)).collect(),
        };
        chosen.sort_unstable();
        chosen.dedup();
        chosen.extend(seen..len);
        chosen
    }
}

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "how whoever runs the test says how long")]
    let given = std::env::var(name).ok();
    given.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

#[expect(clippy::print_stderr, reason = "what was checked is the result of the test")]
fn tell(summary: &str) {
    eprintln!("{summary}");
}
