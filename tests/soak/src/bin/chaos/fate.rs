//! What befalls the servers.

use crate::Scene;
use crate::ledger::Blow;
use crate::stage::{STOP_MS_MAX, Server};
use mcp_proxy_soak::dice::Dice;
use mcp_proxy_soak::process;
use rustix::process::Signal;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// Lets one blow after the other fall on a server until `end`, and leaves it running at its usual pace.
pub(crate) async fn befall(
    scene: Rc<Scene>,
    mut server: Server,
    mut dice: Dice,
    end: Instant,
) -> io::Result<Server> {
    if server.role.is_healthy {
        sleep_until(end).await;
        return Ok(server);
    }
    loop {
        let next = Instant::now() + dice.millis(1_000, 8_000);
        if next >= end {
            sleep_until(end).await;
            return Ok(server);
        }
        sleep_until(next).await;
        let blow = *dice.pick(&[Blow::Kill, Blow::Kill, Blow::Term, Blow::Stop, Blow::Stop, Blow::Slow]);
        scene.ledger.borrow_mut().blow(blow);
        match blow {
            Blow::Kill => end_process(&mut server, Signal::KILL, &mut dice).await?,
            Blow::Term => end_process(&mut server, Signal::TERM, &mut dice).await?,
            Blow::Stop => {
                let length = dice.millis(200, STOP_MS_MAX);
                for_a_while(&server, Signal::STOP, Signal::CONT, length).await?;
            }
            Blow::Slow => {
                for_a_while(&server, Signal::USR1, Signal::USR2, dice.millis(1_000, 6_000)).await?;
            }
        }
    }
}

/// Ends all its processes. Whoever is the proxy's child is for the proxy to start again; others come back after a while.
async fn end_process(server: &mut Server, with: Signal, dice: &mut Dice) -> io::Result<()> {
    send(server, with).await?;
    let Some(mut child) = server.process.take() else { return Ok(()) };
    child.wait().await?;
    sleep(dice.millis(0, 4_000)).await;
    server.start().await
}

async fn for_a_while(server: &Server, begin: Signal, end: Signal, length: Duration) -> io::Result<()> {
    let hit = send(server, begin).await?;
    sleep(length).await;
    for pid in hit {
        process::signal(pid, end);
    }
    Ok(())
}

/// Signals its process, or some of them where each session has one; says which.
async fn send(server: &Server, signal: Signal) -> io::Result<Vec<u32>> {
    let mark = server.role.mark();
    // Looking through all processes takes a moment in which the clients should not stand still.
    let found =
        tokio::task::spawn_blocking(move || process::marked(&mark)).await.map_err(io::Error::other)?;
    let pids: Vec<u32> = found.into_iter().map(|found| found.pid).take(HIT_MAX).collect();
    for pid in &pids {
        process::signal(*pid, signal);
    }
    Ok(pids)
}

/// Processes hit by one blow: to start dozens anew at once would only measure the processor.
const HIT_MAX: usize = 4;
