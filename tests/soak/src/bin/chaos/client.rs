//! One of the clients: connects, asks up to three things at a time, leaves after a while, comes back.

use crate::Scene;
use crate::ledger::{Entry, Phase, Said};
use crate::session::{Session, Transport};
use crate::stage::{Role, SERVERS};
use mcp_proxy_soak::dice::Dice;
use mcp_proxy_soak::wire::{self, Outcome};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Rounds of one session.
const ROUNDS: u64 = 30;
/// Beyond the limit of a request: whoever has not been answered by then never is.
const NEVER: Duration = Duration::from_secs(10);
/// How long a client listens for second answers before it leaves at the end.
const LISTEN: Duration = Duration::from_secs(1);

/// Lives until the end. Every other client speaks HTTP+SSE, every fourth pair uses the endpoint of all servers.
pub(crate) async fn live(scene: Rc<Scene>, number: u64, mut dice: Dice) {
    let transport = if number.is_multiple_of(2) { Transport::Mcp } else { Transport::Sse };
    let target = match number / 2 % 4 {
        0 => None,
        _ => Some(SERVERS[(number / 2 + number / 8) as usize % SERVERS.len()]),
    };
    while scene.phase.get() != Phase::Over {
        if let Some(session) = hello(&scene, transport, target).await {
            converse(&scene, session, target, &mut dice).await;
        }
        sleep(dice.millis(50, 500)).await;
    }
}

/// The handshake, which is a request like others.
async fn hello(scene: &Rc<Scene>, transport: Transport, target: Option<Role>) -> Option<Rc<Session>> {
    let path = match target {
        Some(role) => format!("/{}/{}", role.name, transport.suffix()),
        None => format!("/{}", transport.suffix()),
    };
    let mut entry = Entry::new("initialize", target, scene.phase.get());
    // The endpoint of all servers answers as long as one of them is there.
    let limit = target.unwrap_or(SERVERS[0]).limit();
    let opened =
        timeout(limit + NEVER, Session::open(scene.port.get(), transport, &path, scene.clone())).await;
    let session = match opened {
        Ok(Ok((session, said))) => {
            entry.said = said;
            session
        }
        Ok(Err(error)) => {
            entry.said = Said::Broken(error.to_string());
            None
        }
        Err(_) => {
            entry.said = Said::Nothing;
            None
        }
    };
    entry.finish(limit, None);
    scene.ledger.borrow_mut().enter(entry);
    session
}

async fn converse(scene: &Rc<Scene>, session: Rc<Session>, target: Option<Role>, dice: &mut Dice) {
    for _ in 0..ROUNDS {
        if scene.phase.get() == Phase::Over || session.is_broken() {
            break;
        }
        let at_once = 1 + dice.below(3);
        let calls: Vec<_> = (0..at_once)
            .map(|_| {
                let role = target.unwrap_or(*dice.pick(&SERVERS));
                tokio::task::spawn_local(ask(scene.clone(), session.clone(), role, target.is_none()))
            })
            .collect();
        for call in calls {
            if let Err(error) = call.await {
                scene.ledger.borrow_mut().fault(format!("a client broke down: {error}"));
            }
        }
        sleep(dice.millis(100, 500)).await;
    }
    if scene.phase.get() == Phase::Over {
        sleep(LISTEN).await;
    }
    session.leave(dice.below(2) == 0).await;
}

async fn ask(scene: Rc<Scene>, session: Rc<Session>, role: Role, merged: bool) {
    let number = scene.texts.get() + 1;
    scene.texts.set(number);
    let text = format!("text {number} for {}", role.name);
    let tool = if merged { format!("{}__echo", role.name) } else { "echo".to_owned() };
    let mut entry = Entry::new("tools/call", Some(role), scene.phase.get());
    let id = number + 1;
    let began = Instant::now();
    entry.said = match timeout(role.limit() + NEVER, session.ask(id, &wire::call(id, &tool, &text))).await {
        Ok(Ok(Outcome::Result(result))) => match result.split_once(' ') {
            Some((pid, echo)) if echo == text => Said::Result { pid: pid.parse().unwrap_or_default() },
            _ => Said::Wrong(format!("{result} in place of {text}")),
        },
        Ok(Ok(Outcome::Error(code, message))) => Said::Error(code, message),
        Ok(Err(error)) => Said::Broken(error.to_string()),
        Err(_) => Said::Nothing,
    };
    entry.finish(role.limit(), Some(began.elapsed()));
    scene.ledger.borrow_mut().enter(entry);
}
