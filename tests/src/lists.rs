//! Verbs of scenarios about what clients are shown, and which server hears what.
//!
//! A server may run as several processes at a time; what is asked here is asked of all of them.

use crate::cast::Cast;
use crate::client::{Client, State};
use crate::mind::{Heard, Mind};
use crate::world::World;
use serde_json::{Value, json};

/// The methods of the four lists, the member each answers with, and the member that names an item.
pub const LISTS: [(&str, &str, &str); 4] = [
    ("tools/list", "tools", "name"),
    ("prompts/list", "prompts", "name"),
    ("resources/list", "resources", "uri"),
    ("resources/templates/list", "resourceTemplates", "uriTemplate"),
];

impl World {
    /// Waits until every server has been started once, with or without success.
    #[track_caller]
    pub fn until_all_tried(&mut self) {
        self.run_until("all servers are tried", |w| w.watch.logged("servers are ready"));
    }

    /// The minds of a server: of all its processes, oldest first, or of its site.
    pub fn minds(&self, server: &str) -> Vec<&Mind> {
        let (command, host) = (format!("sim-{server}"), format!("{server}.test"));
        let children = self.children.iter().filter(|child| child.command == command);
        let children = children.map(|child| &child.program.mind);
        children.chain(self.sites.iter().filter(|site| site.host == host).map(|site| &site.mind)).collect()
    }

    /// Changes what every living process of a server, or its site, thinks.
    pub fn teach(&mut self, server: &str, change: impl Fn(&mut Mind)) {
        let (command, host) = (format!("sim-{server}"), format!("{server}.test"));
        self.children
            .iter_mut()
            .filter(|child| child.alive && child.command == command)
            .for_each(|child| change(child.mind()));
        self.sites.iter_mut().filter(|site| site.host == host).for_each(|site| change(&mut site.mind));
    }

    /// What a server has heard with this method, by any of its processes.
    pub fn heard(&self, server: &str, method: &str) -> Vec<&Heard> {
        let minds = self.minds(server).into_iter();
        minds.flat_map(|mind| &mind.heard).filter(|heard| heard.value["method"] == method).collect()
    }

    /// The names of the tools, prompts or (as `ref/…`) completed things that a server was asked for, in order.
    pub fn names_heard(&self, server: &str, method: &str) -> Vec<String> {
        let heard = self.heard(server, method).into_iter().map(|heard| &heard.value["params"]);
        let name = |params: &Value| {
            let all = [&params["name"], &params["uri"], &params["ref"]["name"], &params["ref"]["uri"]];
            all.into_iter().find_map(Value::as_str).unwrap_or_default().to_owned()
        };
        heard.map(name).collect()
    }

    /// How many messages of any kind all servers have heard, beside pings.
    pub fn all_heard(&self) -> usize {
        let minds = self.children.iter().map(|child| &child.program.mind);
        let minds = minds.chain(self.sites.iter().map(|site| &site.mind));
        minds.map(|mind| mind.heard.len() - mind.count("ping")).sum()
    }

    /// Asks for a list and gives the names (URIs, URI templates) in it.
    #[track_caller]
    pub fn listed(&mut self, client: usize, method: &str) -> Vec<String> {
        let items = self.items(client, method);
        let key = LISTS.iter().find(|(known, _, _)| *known == method).map_or("name", |(_, _, key)| key);
        items.iter().map(|item| item[key].as_str().unwrap().to_owned()).collect()
    }

    /// Asks for a list and gives its items.
    #[track_caller]
    pub fn items(&mut self, client: usize, method: &str) -> Vec<Value> {
        let answer = self.ask(client, method, json!({}));
        let member = LISTS.iter().find(|(known, _, _)| *known == method).map_or("", |(_, member, _)| member);
        let items = answer["result"][member].as_array();
        items.unwrap_or_else(|| panic!("no list in {answer}")).clone()
    }

    /// The `result` of the handshake of a client.
    #[track_caller]
    pub fn greeting(&self, client: usize) -> Value {
        let answered = self.clients[client].requests.iter().rev().find_map(|request| match &request.state {
            State::Answered(raw) if raw.contains("serverInfo") => Some(raw),
            State::Answered(_) | State::Waiting | State::Lost => None,
        });
        let answer: Value = serde_json::from_str(answered.expect("it has shaken hands")).unwrap();
        answer["result"].clone()
    }

    /// The code of the error that a request is answered with.
    #[track_caller]
    pub fn error_of(&mut self, client: usize, method: &str, params: Value) -> i64 {
        let answer = self.ask(client, method, params);
        answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error in {answer}"))
    }

    /// How many notices of changed lists a client got: tools, prompts, resources.
    pub fn notices(&self, client: usize) -> [usize; 3] {
        ["tools", "prompts", "resources"]
            .map(|kind| self.inbox(client, &format!("notifications/{kind}/list_changed")).len())
    }

    /// A server says that a list changed, `tools`, `prompts` or `resources`: every process of it, or its site.
    pub fn say_changed(&mut self, server: &str, kind: &str) {
        let method = format!("notifications/{kind}/list_changed");
        let text = json!({"jsonrpc": "2.0", "method": method}).to_string();
        let command = format!("sim-{server}");
        if !self.children.iter().any(|child| child.command == command) {
            return self.say(server, &text);
        }
        for child in self.children.iter_mut().filter(|child| child.alive && child.command == command) {
            child.print(&text, &mut self.net);
        }
    }
}

impl Cast {
    /// Changes what a server thinks, whatever it runs as.
    pub fn mind(self, name: &str, change: impl Fn(&mut Mind)) -> Self {
        if self.programs.contains_key(&format!("sim-{name}")) {
            self.program(name, |program| change(&mut program.mind))
        } else {
            self.change_site(name, |site| change(&mut site.mind))
        }
    }

    /// The tools of a server.
    pub fn tools<T: ToString>(self, name: &str, tools: &[T]) -> Self {
        let tools: Vec<String> = tools.iter().map(T::to_string).collect();
        self.mind(name, |mind| mind.tools.clone_from(&tools))
    }

    /// The prompts, resources or templates of a server, by the member of the list.
    pub fn named<T: ToString>(self, name: &str, kind: &'static str, names: &[T]) -> Self {
        let names: Vec<String> = names.iter().map(T::to_string).collect();
        self.mind(name, |mind| _ = mind.named.insert(kind, names.clone()))
    }

    /// After its first start a stdio server cannot be started for so many times.
    pub fn outage(mut self, name: &str, starts: usize) -> Self {
        let programs = self.programs.get_mut(&format!("sim-{name}")).unwrap();
        let (there, mut missing) = (programs[0].clone(), programs[0].clone());
        missing.missing = true;
        programs.clear();
        programs.push(there.clone());
        programs.extend(vec![missing; starts]);
        programs.push(there);
        self
    }

    /// Sets a member of `mcpProxy.merged`.
    pub fn merged(mut self, member: &str, value: Value) -> Self {
        self.proxy["merged"][member] = value;
        self
    }
}

/// Makes a client that presents this token.
pub fn with_token(token: &str) -> impl Fn(&mut Client) {
    let value = format!("Bearer {token}");
    move |client| client.fields.push(("authorization".to_owned(), value.clone()))
}

/// Makes a client that can be asked for its roots, and has none.
pub fn with_roots(client: &mut Client) {
    client.capabilities = json!({"roots": {}});
    client.replies.insert("roots/list".to_owned(), json!({"result": {"roots": []}}));
}
