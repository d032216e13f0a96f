//! See `mcp_proxy_fuzz::stream`.
#![cfg_attr(fuzzing, no_main)]
mcp_proxy_fuzz::target!(stream);
