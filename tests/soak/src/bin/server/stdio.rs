//! One message a line on stdin and stdout; answers overtake each other.

use crate::mcp::{Incoming, Mcp};
use std::io;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, stdin, stdout};
use tokio::sync::mpsc;

/// Serves until stdin ends.
pub(crate) async fn run(mcp: Mcp) -> io::Result<()> {
    let (answers, mut queue) = mpsc::unbounded_channel::<String>();
    tokio::spawn(async move {
        let mut stdout = stdout();
        while let Some(answer) = queue.recv().await {
            // A proxy that is gone also ends stdin.
            let _ = stdout.write_all((answer + "\n").as_bytes()).await;
            let _ = stdout.flush().await;
        }
    });
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let Incoming::Request { answer, takes, .. } = mcp.read(line.as_bytes()) else { continue };
        let (mcp, answers) = (mcp.clone(), answers.clone());
        tokio::spawn(async move {
            mcp.think(takes).await;
            // Only fails when the writer is gone.
            let _ = answers.send(answer);
        });
    }
    Ok(())
}
