//! See `mcp_proxy_fuzz::oauth`.
#![cfg_attr(fuzzing, no_main)]
mcp_proxy_fuzz::target!(oauth);
