//! See `mcp_proxy_fuzz::oauth_text`.
#![cfg_attr(fuzzing, no_main)]
mcp_proxy_fuzz::target!(oauth_text);
