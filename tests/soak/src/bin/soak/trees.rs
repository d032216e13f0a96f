//! The servers: trees of processes, each of them a different nuisance.

use mcp_proxy_soak::dice::Dice;
use serde_json::{Value, json};
use std::io;
use std::path::Path;

/// How the trees are called.
pub(crate) const NAMES: [&str; 3] = ["plain", "helper", "deaf"];

/// `mcpServers`.
pub(crate) fn servers() -> io::Result<Value> {
    let program = std::env::current_exe()?.with_file_name("server");
    Ok(json!({
        "plain": tree(&shell(&shell_word(&program, "stdio"))),
        // A grandchild that has closed its pipes and does not know that it should end.
        "helper": tree(&format!(
            "{} </dev/null >/dev/null 2>&1 & {}",
            shell_word(&program, "idle"),
            shell(&shell_word(&program, "stdio")),
        )),
        // Neither the end of stdin nor TERM impresses any of the three.
        "deaf": tree(&format!("trap '' TERM; {}", shell(&shell_word(&program, "stdio --deaf")))),
    }))
}

/// One of the names; the deaf one not so often, since its trees live four seconds longer.
pub(crate) fn choose(dice: &mut Dice) -> &'static str {
    match dice.below(8) {
        0 => "deaf",
        1..=3 => "helper",
        _ => "plain",
    }
}

fn tree(script: &str) -> Value {
    json!({
        "command": "sh",
        "args": ["-c", script],
        "options": {"sessions": "dedicated", "maxSessions": 4_000, "idleSeconds": 1},
    })
}

/// A shell that stays because something follows the command.
fn shell(command: &str) -> String {
    format!("sh -c '{command}; :'; :")
}

fn shell_word(program: &Path, arguments: &str) -> String {
    format!("\"{}\" {arguments}", program.display())
}
