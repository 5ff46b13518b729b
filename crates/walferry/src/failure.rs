//! Why a command ended without success.
//!
//! Owns: [`Failure`], with the exit statuses. Never: prints.

use walferry_event::Code;

use crate::configuration::Unreadable;

/// Why a command ended without success, with the exit status that says so.
pub(crate) struct Failure {
    pub(crate) status: u8,
    pub(crate) message: String,
}

impl Failure {
    /// A failure of a kind that the others have no name for.
    pub(crate) fn coded(status: u8, code: Code, message: &str) -> Failure {
        Failure {
            status,
            message: code.tag(message),
        }
    }

    /// The command line is wrong.
    pub(crate) fn usage(error: &anyhow::Error) -> Failure {
        Failure::coded(2, Code::CommandLine, &format!("{error:#}"))
    }

    /// The configuration is wrong, or a secret that it names is not there.
    pub(crate) fn configuration(error: &anyhow::Error) -> Failure {
        let code = match error.downcast_ref::<Unreadable>() {
            Some(_) => Code::Secret,
            None => Code::Configuration,
        };
        Failure::coded(2, code, &format!("{error:#}"))
    }

    /// The output has been written already, and tells the failure.
    pub(crate) fn told() -> Failure {
        Failure {
            status: 1,
            message: String::new(),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure::coded(1, Code::Command, &format!("{error:#}"))
    }
}

impl From<walferry_pipeline::Error> for Failure {
    fn from(error: walferry_pipeline::Error) -> Failure {
        Failure {
            status: error.exit_status(),
            message: error.to_string(),
        }
    }
}
