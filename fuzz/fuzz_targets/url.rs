//! See `mcp_proxy_fuzz::url`.
#![cfg_attr(fuzzing, no_main)]
mcp_proxy_fuzz::target!(url);
