//! Who takes part in a story: configured servers, what stands behind them, bounds, secrets.

use crate::child::Program;
use crate::disk::Disk;
use crate::net::Weather;
use crate::publisher::Publisher;
use crate::site::{Site, Style};
use mcp_proxy_core::config;
use mcp_proxy_core::limits::Limits;
use mcp_proxy_core::log::Level;
use mcp_proxy_core::proxy::{Options, Proxy};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The participants and the configuration that names them. Built by chaining.
#[derive(Debug, Clone)]
pub struct Cast {
    /// `mcpProxy` of the configuration.
    pub proxy: Value,
    /// `mcpServers` of the configuration.
    pub servers: Map<String, Value>,
    /// Their names in the order of the configuration.
    pub order: Vec<String>,
    /// What each start of a command gives: the n-th, then the last for ever.
    pub programs: BTreeMap<String, Vec<Program>>,
    /// HTTP servers.
    pub sites: Vec<Site>,
    /// Bounds of the engine.
    pub limits: Limits,
    /// The weather of all links, whatever the seed says.
    pub weather: Option<Weather>,
    /// Somebody else has the port.
    pub port_taken: bool,
    /// Texts that must never appear in a log record.
    pub secrets: Vec<String>,
    /// What is kept from an earlier run.
    pub disk: Disk,
    /// Web sites that publish documents.
    pub publishers: Vec<Publisher>,
    /// Password hashes, and what they are of.
    pub hashes: BTreeMap<String, String>,
}

impl Default for Cast {
    fn default() -> Self {
        Self {
            proxy: json!({"baseURL": "http://localhost:9090", "addr": "127.0.0.1:9090", "name": "proxy",
                "version": "1", "type": "both"}),
            servers: Map::new(),
            order: Vec::new(),
            programs: BTreeMap::new(),
            sites: Vec::new(),
            limits: Limits::default(),
            weather: None,
            port_taken: false,
            secrets: Vec::new(),
            disk: Disk::default(),
            publishers: Vec::new(),
            hashes: BTreeMap::new(),
        }
    }
}

impl Cast {
    /// Adds a stdio server.
    pub fn stdio(mut self, name: &str) -> Self {
        let secret = format!("env-secret-of-{name}");
        self.servers
            .insert(name.to_owned(), json!({"command": format!("sim-{name}"), "env": {"TOKEN": secret}}));
        self.secrets.push(secret);
        self.order.push(name.to_owned());
        self.programs.insert(format!("sim-{name}"), vec![Program::new(name)]);
        self
    }

    /// Adds a Streamable HTTP server.
    pub fn streamable(self, name: &str) -> Self {
        let url = format!("http://{name}.test/mcp");
        self.site(name, Style::Streamable, json!({"url": url, "transportType": "streamable-http"}))
    }

    /// Adds an HTTP+SSE server.
    pub fn sse(self, name: &str) -> Self {
        let url = format!("http://{name}.test/sse");
        self.site(name, Style::Sse, json!({ "url": url }))
    }

    fn site(mut self, name: &str, style: Style, mut server: Value) -> Self {
        let secret = format!("header-secret-of-{name}");
        server["headers"] = json!({"X-Api-Key": secret});
        self.secrets.push(secret);
        self.order.push(name.to_owned());
        self.servers.insert(name.to_owned(), server);
        self.sites.push(Site::new(self.sites.len(), name, style));
        self
    }

    /// Changes the program of a stdio server, every start of it.
    pub fn program(mut self, name: &str, change: impl Fn(&mut Program)) -> Self {
        self.programs.get_mut(&format!("sim-{name}")).unwrap().iter_mut().for_each(change);
        self
    }

    /// Puts a program in front that only the first start gives.
    pub fn first_program(mut self, name: &str, change: impl Fn(&mut Program)) -> Self {
        let mut program = Program::new(name);
        change(&mut program);
        self.programs.get_mut(&format!("sim-{name}")).unwrap().insert(0, program);
        self
    }

    /// Changes an HTTP server.
    pub fn change_site(mut self, name: &str, change: impl Fn(&mut Site)) -> Self {
        self.sites.iter_mut().filter(|site| site.host == format!("{name}.test")).for_each(change);
        self
    }

    /// Sets a member of a server in the configuration.
    pub fn server(mut self, name: &str, member: &str, value: Value) -> Self {
        self.servers[name][member] = value;
        self
    }

    /// Leaves the transport of an HTTP server for the proxy to find out.
    pub fn unknown_transport(mut self, name: &str) -> Self {
        self.servers[name].as_object_mut().unwrap().remove("transportType");
        self
    }

    /// Sets the options of a server.
    pub fn options(self, name: &str, options: Value) -> Self {
        self.server(name, "options", options)
    }

    /// Sets a member of `mcpProxy`.
    pub fn with_proxy(mut self, member: &str, value: Value) -> Self {
        self.proxy[member] = value;
        self
    }

    /// Changes bounds.
    pub fn limits(mut self, change: impl Fn(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    /// Plants a secret that the caller has put somewhere.
    pub fn secret(mut self, text: &str) -> Self {
        self.secrets.push(text.to_owned());
        self
    }

    /// Makes the network calm, for stories that are about time.
    pub fn calm(mut self) -> Self {
        self.weather = Some(Weather::CALM);
        self
    }

    /// The configuration file.
    pub fn config_text(&self) -> String {
        let servers = self.order.iter().map(|name| format!("{}:{}", json!(name), self.servers[name]));
        let servers: Vec<String> = servers.collect();
        format!("{{\"mcpProxy\":{},\"mcpServers\":{{{}}}}}", self.proxy, servers.join(","))
    }

    /// An engine for this cast.
    pub fn engine(&self, seed: [u8; 32]) -> Proxy {
        let text = self.config_text();
        let source = config::Source { text: &text, name: "story.json", strict: true, env: None };
        let loaded = config::parse(&source).expect("the configuration of a story is valid");
        Proxy::new(
            Arc::new(loaded.config),
            Options { limits: self.limits.clone(), log_level: Level::Trace },
            seed,
        )
    }
}
