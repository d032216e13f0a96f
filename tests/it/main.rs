//! All integration tests of the workspace, in one binary.

mod e2e;
mod loopback;
mod sim;
mod tidy;
