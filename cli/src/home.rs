//! `~/` at the head of a path: the home directory.
//!
//! Replaced where the configuration names a program, a directory or a file: `command`, `cwd`, `persistenceDir`,
//! `usersFile`, `templateDir`. Not in `args`, which are the program's own, and not `~user`.

use crate::load::variable;
use mcp_proxy_core::config::{Config, Transport};

/// The home directory, if it is known.
pub(crate) fn dir() -> Option<String> {
    variable("HOME").filter(|home| !home.is_empty())
}

/// A path below the home directory; `None` if it is none.
pub(crate) fn path(written: &str, home: Option<&str>) -> Option<String> {
    let rest = written.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
    Some(format!("{}{rest}", home?.trim_end_matches('/')))
}

/// Replaces `~/` in all paths of a configuration.
pub(crate) fn expand(config: &mut Config, home: Option<&str>) {
    let replace = |written: &mut String| {
        if let Some(path) = path(written, home) {
            *written = path;
        }
    };
    for server in &mut config.servers {
        if let Transport::Stdio { command, cwd, .. } = &mut server.transport {
            replace(command);
            cwd.iter_mut().for_each(replace);
        }
    }
    if let Some(oauth2) = &mut config.oauth2 {
        oauth2.users_file.iter_mut().for_each(replace);
        oauth2.persistence_dir.iter_mut().for_each(replace);
        replace(&mut oauth2.template_dir);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_proxy_core::config::{Source, parse};

    #[test]
    fn a_tilde_is_the_home_directory_in_paths_alone() {
        // FT-404
        let table = [
            ("~/bin/x", Some("/home/ann/bin/x")),
            ("~", Some("/home/ann")),
            ("~bob/x", None),
            ("/a/~/x", None),
            ("x", None),
            ("", None),
        ];
        for (written, expected) in table {
            assert_eq!(path(written, Some("/home/ann/")).as_deref(), expected, "{written}");
            assert_eq!(path(written, None), None);
        }
        let text = r#"{"mcpProxy": {"addr": "127.0.0.1:0", "type": "both", "options": {"oauth2": {"enabled": true,
            "usersFile": "~/users", "persistenceDir": "~/store", "templateDir": "~/pages"}}},
            "mcpServers": {"a": {"command": "~/bin/a", "args": ["~/x"], "cwd": "~/data"}}}"#;
        let mut config = parse(&Source { text, name: "x", strict: true, env: None }).unwrap().config;
        expand(&mut config, Some("/home/ann"));
        let Transport::Stdio { command, args, cwd, .. } = &config.servers[0].transport else {
            panic!("not stdio")
        };
        assert_eq!((command.as_str(), cwd.as_deref()), ("/home/ann/bin/a", Some("/home/ann/data")));
        assert_eq!(args, &["~/x"]);
        let oauth2 = config.oauth2.unwrap();
        assert_eq!(oauth2.users_file.as_deref(), Some("/home/ann/users"));
        assert_eq!(oauth2.persistence_dir.as_deref(), Some("/home/ann/store"));
        assert_eq!(oauth2.template_dir, "/home/ann/pages");
    }
}
