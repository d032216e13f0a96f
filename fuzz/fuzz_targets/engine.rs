//! See `mcp_proxy_fuzz::engine`.
#![cfg_attr(fuzzing, no_main)]
mcp_proxy_fuzz::target!(engine);
