//! `-eject-templates` and `-eject-templates-to`: the built-in pages as files, to be edited (SEED-063 to SEED-065).
//!
//! Invariant: a file that somebody edited stays as it is unless `-force` is given. What is absent is written either
//! way, so that pages of a newer version can be added to edited ones.
//! stdout lists the files that are as built in, one a line; what was left alone is said on stderr.

use crate::args::{Load, Log};
use crate::load::{load, say};
use mcp_proxy_core::log::Level;
use mcp_proxy_core::oauth::page::PageKind;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Gives the text of a built-in page.
type Source = fn(PageKind) -> &'static str;

/// Writes the templates to `oauth` in `to`, or else where the configuration has them.
pub(crate) fn run(from: &Load, log: Log, to: Option<String>, force: bool, source: Source) -> ExitCode {
    let base = to.unwrap_or_else(|| template_dir(from, log));
    let (stdout, stderr, code) = match eject(&Path::new(&base).join("oauth"), force, source) {
        Ok(Ejected { paths, edited }) if edited.is_empty() => {
            (lines(&paths, ""), String::new(), ExitCode::SUCCESS)
        }
        Ok(Ejected { paths, edited }) => (lines(&paths, ""), lines(&edited, EDITED), ExitCode::FAILURE),
        Err(problem) => (String::new(), format!("mcp-proxy: {problem}\n"), ExitCode::FAILURE),
    };
    // Whoever closed one of them does not want to know.
    let _gone = io::stdout().write_all(stdout.as_bytes());
    let _gone = io::stderr().write_all(stderr.as_bytes());
    code
}

/// What became of the files.
#[derive(Debug, PartialEq, Eq)]
struct Ejected {
    /// Those that are as built in now.
    paths: Vec<PathBuf>,
    /// Those that are not, and were left alone.
    edited: Vec<PathBuf>,
}

fn template_dir(from: &Load, log: Log) -> String {
    match load(from, log) {
        Some(config) => config.oauth2.map(|oauth2| oauth2.template_dir),
        None => {
            say(log, Level::Warn, format!("without a config the templates go to `{TEMPLATES}`"));
            None
        }
    }
    .unwrap_or_else(|| TEMPLATES.to_owned())
}

fn eject(dir: &Path, force: bool, source: Source) -> Result<Ejected, String> {
    fs::create_dir_all(dir).map_err(|error| format!("cannot create {}: {error}", dir.display()))?;
    let mut ejected = Ejected { paths: Vec::new(), edited: Vec::new() };
    for kind in PageKind::ALL {
        let path = dir.join(kind.file_name());
        let written = write(&path, source(kind).as_bytes(), force);
        match written.map_err(|error| format!("cannot write {}: {error}", path.display()))? {
            true => ejected.paths.push(path),
            false => ejected.edited.push(path),
        }
    }
    Ok(ejected)
}

/// Whether the file holds this text now.
fn write(path: &Path, text: &[u8], force: bool) -> io::Result<bool> {
    match File::create_new(path) {
        Ok(mut file) => {
            let written = file.write_all(text);
            if written.is_err() {
                // Half a page would look like an edited one the next time.
                let _kept = fs::remove_file(path);
            }
            written.map(|()| true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if fs::read(path)? == text {
                return Ok(true);
            }
            if force {
                fs::write(path, text)?;
            }
            Ok(force)
        }
        Err(error) => Err(error),
    }
}

fn lines(paths: &[PathBuf], remark: &str) -> String {
    paths.iter().map(|path| format!("{}{remark}\n", path.display())).collect()
}

/// Where templates are unless the configuration says otherwise (SEED-106).
const TEMPLATES: &str = "templates";

const EDITED: &str = " differs from the built-in page and is left as it is; -force overwrites it";

#[cfg(test)]
mod tests {
    use super::*;

    // SEED-064, OA-194
    #[test]
    fn pages_are_written_once_and_edits_kept() {
        let dir = Scratch::new("kept");
        let oauth = dir.0.join("deep").join("oauth");
        let all = PageKind::ALL.map(|kind| oauth.join(kind.file_name()));
        let [authorize, success, error] = &all;
        for _ in 0..2 {
            let ejected = eject(&oauth, false, source).unwrap();
            assert_eq!(ejected, Ejected { paths: all.to_vec(), edited: Vec::new() });
        }
        assert_eq!(fs::read_to_string(authorize).unwrap(), source(PageKind::Authorize));

        fs::write(success, "edited").unwrap();
        fs::remove_file(error).unwrap();
        let ejected = eject(&oauth, false, source).unwrap();
        assert_eq!(
            ejected,
            Ejected { paths: vec![authorize.clone(), error.clone()], edited: vec![success.clone()] }
        );
        assert_eq!(fs::read_to_string(success).unwrap(), "edited");
        assert_eq!(fs::read_to_string(error).unwrap(), source(PageKind::Error));

        let ejected = eject(&oauth, true, source).unwrap();
        assert_eq!(ejected, Ejected { paths: all.to_vec(), edited: Vec::new() });
        assert_eq!(fs::read_to_string(success).unwrap(), source(PageKind::Success));
    }

    // SEED-065
    #[test]
    fn what_cannot_be_written_is_named() {
        let dir = Scratch::new("named");
        fs::write(dir.0.join("oauth"), "a file").unwrap();
        let problem = eject(&dir.0.join("oauth"), false, source).unwrap_err();
        assert!(problem.starts_with("cannot create ") && problem.contains("oauth"), "{problem}");
        fs::create_dir_all(dir.0.join("other").join("success.html")).unwrap();
        let problem = eject(&dir.0.join("other"), true, source).unwrap_err();
        assert!(problem.starts_with("cannot write ") && problem.contains("success.html"), "{problem}");
    }

    fn source(kind: PageKind) -> &'static str {
        match kind {
            PageKind::Authorize => "<p>authorize</p>",
            PageKind::Success => "<p>success</p>",
            PageKind::Error => "<p>error</p>",
        }
    }

    /// A directory that is gone after the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("mcp-proxy-eject-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(&self.0);
        }
    }
}
