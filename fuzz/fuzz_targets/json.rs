//! See `mcp_proxy_fuzz::json`.
#![cfg_attr(fuzzing, no_main)]
mcp_proxy_fuzz::target!(json);
