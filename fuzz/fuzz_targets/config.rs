//! See `mcp_proxy_fuzz::config`.
#![cfg_attr(fuzzing, no_main)]
mcp_proxy_fuzz::target!(config);
