//! What the two programs share: the proxy as a process, processes seen through `/proc`, a small HTTP client, dice.
//!
//! | program | what it proves |
//! |---|---|
//! | `soak` | clients that vanish in every way, and kills of the proxy, leave no process, open file or memory behind |
//! | `chaos` | servers that die, stop, slow down and return cost nobody an answer, and healthy servers nothing |
//! | `server` | the MCP server behind the proxy in both |
//!
//! Linux only: they read `/proc`. Everything runs on loopback, on ports the system chooses.

pub mod dice;
pub mod http;
pub mod process;
pub mod proxy;
pub mod wire;
