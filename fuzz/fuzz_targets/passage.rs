//! See `mcp_proxy_fuzz::passage`.
#![cfg_attr(fuzzing, no_main)]
mcp_proxy_fuzz::target!(passage);
