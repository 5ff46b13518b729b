//! What has to be known and the database does not say: name, brokers, registry.
//!
//! Owns the questions. Never: asks when standard input or standard error is no terminal; then what is not given is a placeholder
//! that is remarked upon.

use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use walferry_pipeline::config::ConnectConfig;

use crate::{
    Failure,
    command_line::InitArguments,
    configuration::draft::{self, Draft},
};

/// The variable that the file takes the role's password from.
pub(super) const PASSWORD: &str = "WALFERRY_SOURCE_PASSWORD";

/// A value, and whether somebody has said that it is right.
pub(super) struct Answer {
    pub(super) value: String,
    pub(super) settled: bool,
}

pub(super) struct Answers {
    pub(super) name: Answer,
    pub(super) brokers: Answer,
    pub(super) registry: Answer,
}

impl Answers {
    /// By the command line; by questions for the rest, where somebody sits who can answer.
    pub(super) fn of(arguments: &InitArguments) -> Result<Answers, Failure> {
        // The URL says what the database is called, and a wrong one is told before anything is asked.
        let draft = Draft {
            name: "draft".to_owned(),
            url: arguments.source.clone(),
            tables: vec!["*".to_owned()],
            brokers: draft::BROKERS.to_owned(),
            registry: draft::REGISTRY.to_owned(),
        };
        let loaded = draft.load().map_err(|error| Failure::usage(&error))?;
        let database = draft::name_of(&loaded.pipeline.source.connect.database);
        let person = io::stdin().is_terminal() && io::stderr().is_terminal();
        let answer = |given: &Option<String>, question: &str, default: String| {
            if let Some(given) = given {
                let value = given.clone();
                return Ok(Answer {
                    value,
                    settled: true,
                });
            }
            if !person {
                return Ok(Answer {
                    value: default,
                    settled: false,
                });
            }
            ask(question, default)
        };
        Ok(Answers {
            name: answer(&arguments.name, "Name of the connector", database)?,
            brokers: answer(
                &arguments.brokers,
                "Kafka's brokers (host:port, several separated by commas)",
                draft.brokers,
            )?,
            registry: answer(
                &arguments.registry,
                "URL of the schema registry",
                draft.registry,
            )?,
        })
    }

    /// What whoever runs the connector has still to do, one sentence each.
    pub(super) fn to_settle(&self, connect: &ConnectConfig) -> Vec<String> {
        let mut left = Vec::new();
        left.push(match connect.password {
            Some(_) => format!("give the role a password, and put it into the variable {PASSWORD}"),
            None => {
                "let the role log in without a password, as yours does, or give it one and set source.password"
                    .to_owned()
            }
        });
        for (answer, key) in [
            (&self.brokers, "kafka.brokers"),
            (&self.registry, "registry.url"),
        ] {
            if !answer.settled {
                left.push(format!("set {key}: {:?} is a placeholder", answer.value));
            }
        }
        left
    }
}

/// One question; no answer takes the default.
fn ask(question: &str, default: String) -> Result<Answer, Failure> {
    let mut out = io::stderr();
    let asked = write!(out, "{question} [{default}]: ").and_then(|()| out.flush());
    asked.context("standard error")?;
    let mut line = String::new();
    io::stdin().read_line(&mut line).context("standard input")?;
    let said = line.trim();
    let value = match said.is_empty() {
        true => default,
        false => said.to_owned(),
    };
    Ok(Answer {
        value,
        settled: true,
    })
}
