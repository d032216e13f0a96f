//! What comparing passwords with hashes costs the running program in memory.

use super::browser::App;
use super::login::Stage;
use super::{process, program, within};
use futures::future::join_all;
use serde_json::json;
use std::io::Write;
use std::process::{Command, Stdio};

const MIB: usize = 1024 * 1024;

/// What `hash-password` makes of a password: argon2id with 19 MiB.
fn hash(password: &str) -> String {
    let mut command = Command::new(program::proxy());
    let piped =
        command.arg("hash-password").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = piped.spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().next_back().unwrap().to_owned()
}

#[tokio::test]
async fn many_wrong_passwords_take_the_memory_of_one_and_give_it_back() {
    // FT-503
    let stage = Stage::new(json!({"users": {"ann": hash("right")}})).await;
    let pid = stage.proxy.pid();
    let Some(before) = process::memory_now(pid) else {
        std::io::stderr().write_all(b"SKIPPED: this system does not tell the memory of a process\n").unwrap();
        return;
    };
    let app = App::register(&stage.base).await;
    let forms = join_all((0..16).map(|_| async { app.visit().form().await })).await;
    let tries = forms.iter().enumerate().map(|(n, form)| form.post(&format!("nobody{n}"), "wrong").send());
    for answer in join_all(tries).await {
        let status = answer.unwrap().status().as_u16();
        assert!(matches!(status, 200 | 503), "{status}");
    }
    let most = process::memory(pid).unwrap();
    assert!(most < before + 50 * MIB, "{} MiB, {} before", most / MIB, before / MIB);
    let given_back = async {
        while process::memory_now(pid).unwrap() >= before + 25 * MIB {
            tokio::task::yield_now().await;
        }
    };
    within("giving the memory back", given_back).await;
    let form = app.visit().form().await;
    let answer = form.post("ann", "right").send().await.unwrap();
    assert!(answer.text().await.unwrap().contains("code="), "the right password still opens");
}
