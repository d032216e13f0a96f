//! The operator's page templates, looked at before anybody asks for a page: one that cannot be used is told at the start and
//! by `--check`, not only when somebody logs in.
//!
//! Deliberately absent: reading them while the proxy serves, see the store of the host and the pages of the core.

use mcp_proxy_core::config::Config;
use mcp_proxy_core::oauth::page::{PageKind, Pages};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where the templates are, if there are logins.
pub(crate) fn directory(config: &Config) -> Option<PathBuf> {
    let oauth2 = config.oauth2.as_ref().filter(|oauth2| oauth2.enabled)?;
    Some(Path::new(&oauth2.template_dir).join("oauth"))
}

/// What is wrong with them, one sentence for each. A template that is absent is no fault.
pub(crate) fn faults(config: &Config) -> Vec<String> {
    let Some(directory) = directory(config) else { return Vec::new() };
    let mut pages = Pages::new();
    let looked = PageKind::ALL.into_iter().map(|kind| {
        let path = directory.join(kind.file_name());
        look(&mut pages, kind, &path)
            .map_err(|reason| format!("the template {} cannot be used: {reason}", path.display()))
    });
    looked.filter_map(Result::err).collect()
}

fn look(pages: &mut Pages, kind: PageKind, path: &Path) -> Result<(), String> {
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    // Others could keep us waiting, or have no end.
    if !found.is_file() {
        return Err("it is not a file".to_owned());
    }
    let source = fs::read(path).map_err(|error| error.to_string())?;
    pages.replace(kind, Some(&source)).map_err(|error| error.to_string())
}
