//! See `mcp_proxy_fuzz::proxy`.
#![cfg_attr(fuzzing, no_main)]
mcp_proxy_fuzz::target!(proxy);
