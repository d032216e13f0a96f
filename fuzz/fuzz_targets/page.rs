//! See `mcp_proxy_fuzz::page`.
#![cfg_attr(fuzzing, no_main)]
mcp_proxy_fuzz::target!(page);
