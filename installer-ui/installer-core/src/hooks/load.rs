// SPDX-License-Identifier: MIT OR Apache-2.0
//! Brings scripts here before anything is written, so that one that is missing does no harm.

use std::path::{Path, PathBuf};

use super::{BadScript, HookAnswers, Hooks, Script, ScriptSource, Stage};
use crate::delivery::{AnswerSource, Asked, Place, PlaceError};
use crate::web::{Url, Web};

/// Where programs are looked for.
const PATH: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// A script that cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It did not come.
    #[error("loading the script {stage} from {from}")]
    Place {
        /// Of which stage.
        stage: Stage,
        /// From where.
        from: String,
        /// The cause.
        #[source]
        source: PlaceError,
    },
    /// What came is none.
    #[error("running the script {stage}, which is {from}")]
    Script {
        /// Of which stage.
        stage: Stage,
        /// From where.
        from: String,
        /// The cause.
        #[source]
        source: BadScript,
    },
}

/// Where the answers came from: what they name is looked for on the same medium and trusts the same
/// server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Where the medium is mounted.
    pub medium: PathBuf,
    /// The place of the answers.
    pub url: Option<Url>,
    /// How they were fetched.
    pub web: Web,
}

impl Origin {
    /// Of answers that were fetched as was asked for.
    pub fn of(asked: &Asked, medium: &Path) -> Self {
        let url = match &asked.source {
            AnswerSource::Place(place) => place.url().cloned(),
            AnswerSource::Post(url) => Some(url.clone()),
            AnswerSource::Label(_) | AnswerSource::Announced => None,
        };
        Self { medium: medium.to_owned(), url, web: asked.web.clone() }
    }

    /// How a server is trusted: by `pin`, or as the server of the answers if it is that one, or by
    /// authorities.
    pub fn web(&self, url: Option<&Url>, pin: Option<certificate_pin::Fingerprint>) -> Web {
        let same = match (url, &self.url) {
            (Some(url), Some(own)) => url.is_same_server(own),
            _ => false,
        };
        let pin = pin.or(self.web.pin.filter(|_| same));
        // A fingerprint for all scripts does not keep one of them from coming over http.
        let pin = pin.filter(|_| url.is_some_and(Url::is_secure));
        Web { pin, proxy: self.web.proxy.clone() }
    }
}

impl HookAnswers {
    /// Whether the network must be up to load the scripts.
    pub fn need_network(&self) -> bool {
        self.scripts.iter().any(|(_, source)| match source {
            ScriptSource::Inline(_) => false,
            ScriptSource::Place(place) => place.needs_network(),
        })
    }

    /// Brings all scripts here; `say` is told of each before it is waited for.
    ///
    /// # Errors
    /// One of them cannot be had, or cannot be run.
    pub fn load(&self, origin: &Origin, say: &mut dyn FnMut(&str)) -> Result<Hooks, LoadError> {
        let mut scripts = Vec::new();
        for (stage, source) in &self.scripts {
            let (stage, from) = (*stage, source.to_string());
            say(&format!("loading the script {stage}: {from}"));
            let loaded = match source {
                ScriptSource::Inline(text) => Ok(text.clone().into_bytes()),
                ScriptSource::Place(Place::File(path)) => {
                    Place::File(origin.medium.join(path)).load(&Web::default())
                }
                ScriptSource::Place(place) => place.load(&origin.web(place.url(), self.pin)),
            };
            let bytes =
                loaded.map_err(|source| LoadError::Place { stage, from: from.clone(), source })?;
            check(&bytes).map_err(|source| LoadError::Script { stage, from, source })?;
            scripts.push(Script { stage, bytes });
        }
        Ok(Hooks { scripts, timeout: self.timeout, env: Vec::new() })
    }
}

/// What runs it must be in this system, which is also the installed one.
fn check(bytes: &[u8]) -> Result<(), BadScript> {
    let interpreter = Script::interpreter(bytes)?;
    // Joined to a path, a path stands alone.
    match PATH.iter().any(|folder| Path::new(folder).join(interpreter).is_file()) {
        true => Ok(()),
        false => Err(BadScript::Missing(interpreter.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::chain;
    use crate::web::testing::serve;
    use certificate_pin::Fingerprint;
    use rustls::version::TLS13;

    fn origin(medium: &Path) -> Origin {
        Origin { medium: medium.to_owned(), url: None, web: Web::default() }
    }

    fn answers(stage: Stage, text: &str) -> HookAnswers {
        let scripts = vec![(stage, ScriptSource::parse(text).unwrap())];
        HookAnswers { scripts, ..HookAnswers::default() }
    }

    #[test]
    fn scripts_come_from_everywhere() {
        let medium = tempfile::tempdir().unwrap();
        std::fs::write(medium.path().join("a.sh"), "#!/bin/sh\n").unwrap();
        let server = serve("200 OK", "#!/bin/sh\n", None);
        for text in ["#!/bin/sh\n", "/a.sh", &format!("{}/a.sh", server.url)] {
            let mut said = Vec::new();
            let hooks = answers(Stage::Before, text);
            let hooks = hooks.load(&origin(medium.path()), &mut |line| said.push(line.to_owned()));
            let hooks = hooks.unwrap();
            assert_eq!(hooks.script(Stage::Before).unwrap().bytes, b"#!/bin/sh\n");
            assert_eq!(hooks.script(Stage::Completed), None);
            assert!(said[0].starts_with("loading the script before: "), "{said:?}");
        }
    }

    #[test]
    fn what_is_no_script_is_refused_before_it_would_run() {
        let error = |text: &str| {
            let loaded =
                answers(Stage::Populated, text).load(&origin(Path::new("/nowhere")), &mut |_| {});
            chain(&loaded.unwrap_err())
        };
        let page = serve("200 OK", "<!doctype html>", None);
        assert_eq!(
            error(&page.url),
            format!(
                "running the script populated, which is {}: it does not begin with #!, such as \
                 #!/bin/bash, so it is no script",
                page.url
            )
        );
        let text = error("#!/usr/bin/env cobol\n");
        assert!(
            text.ends_with("in the answers: it needs cobol, which is not here; bash and sh are"),
            "{text}"
        );
        let text = error("/a.sh");
        assert!(
            text.starts_with(
                "loading the script populated from a.sh on the medium: reading /nowhere/a.sh: "
            ),
            "{text}"
        );
    }

    #[test]
    fn the_server_of_the_answers_is_trusted_with_scripts_too() {
        let server = serve("200 OK", "#!/bin/sh\n", Some(&TLS13));
        let url: Url = server.url.parse().unwrap();
        let mut origin = origin(Path::new(""));
        let hooks = answers(Stage::Before, &format!("{}/a.sh", server.url));
        assert!(hooks.load(&origin, &mut |_| {}).is_err(), "no authority knows it");
        origin.url = Some(url.clone());
        origin.web.pin = server.fingerprint;
        assert!(hooks.load(&origin, &mut |_| {}).is_ok());
        // Another server is none of the certificate's business.
        let other = "https://another.example.org/".parse().unwrap();
        assert_eq!(origin.web(Some(&other), None).pin, None);
        assert_eq!(origin.web(None, None).pin, None);
        // What the answers say themselves goes first.
        let own = Some(Fingerprint::of(b"another"));
        assert_eq!(origin.web(Some(&url), own).pin, own);
        let hooks = HookAnswers { pin: own, ..hooks };
        let text = chain(&hooks.load(&origin, &mut |_| {}).unwrap_err());
        assert!(text.contains("the server shows another certificate"), "{text}");
    }
}
