//! `walferry init`: a first configuration file, and the SQL of the role that it is for.
//!
//! Owns what is asked on a terminal, where the file goes, and what is said of the next steps. Never: overwrites a file without
//! being told; asks where nobody sits; writes a password.
//! Start reading at `run`; the file's text is in `file_text`.

mod answers;
mod file_text;

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use serde_json::json;
use walferry_operations::init::{Step, Survey, survey};

use super::{one_line, wait};
use crate::{
    Failure,
    command_line::InitArguments,
    configuration::{self, draft::Draft},
    print, tell,
};

use answers::Answers;

pub(crate) fn run(arguments: InitArguments) -> Result<(), Failure> {
    let answers = Answers::of(&arguments)?;
    let path = match &arguments.output {
        Some(path) => path.clone(),
        None => PathBuf::from(format!("{}.toml", answers.name.value)),
    };
    let to_file = path != Path::new("-");
    if to_file && !arguments.force && path.exists() {
        return Err(is_there(&path));
    }
    let all = ["*".to_owned()];
    let globs = match arguments.tables.as_slice() {
        [] => &all[..],
        globs => globs,
    };
    let draft = Draft {
        name: answers.name.value.clone(),
        url: arguments.source.clone(),
        tables: globs.to_vec(),
        brokers: answers.brokers.value.clone(),
        registry: answers.registry.value.clone(),
    };
    let config = draft.load().map_err(|error| Failure::usage(&error))?;
    let config = config.pipeline;
    let survey = wait(survey(&config, &arguments.role))??;
    let of = file_text::Of {
        answers: &answers,
        role: &arguments.role,
        connect: &config.source.connect,
        globs: &arguments.tables,
        survey: &survey,
    };
    let mut text = file_text::text(&of);
    configuration::parse(&text, "the file that was to be written")?;
    let sql = sql(&survey.sql);
    if to_file {
        write(&path, &text, arguments.force)?;
    } else {
        text.push_str("\n# For a role that may: the SQL that lets the connector in.\n");
        sql.lines()
            .for_each(|line| text.push_str(&format!("# {line}\n")));
    }
    let shown = match (arguments.json, to_file) {
        (true, _) => {
            let value = json!({
                "file": to_file.then(|| path.display().to_string()),
                "to_settle": answers.to_settle(&config.source.connect), "survey": survey, "sql": sql, "text": text,
            });
            format!("{value:#}\n")
        }
        (false, true) => sql,
        (false, false) => text,
    };
    print(shown.as_bytes())?;
    if to_file {
        next(&path, &answers.to_settle(&config.source.connect), &survey);
    }
    Ok(())
}

fn is_there(path: &Path) -> Failure {
    Failure::usage(&anyhow!(
        "{} is there already, and nothing was written: give another --output, or --force to overwrite it",
        path.display()
    ))
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    // It may have come since it was looked for.
    match force {
        true => options.write(true).create(true).truncate(true),
        false => options.write(true).create_new(true),
    };
    let mut file = match options.open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(is_there(path)),
        opened => opened.with_context(|| format!("{}: cannot be written", path.display()))?,
    };
    file.write_all(text.as_bytes())
        .with_context(|| format!("{}: cannot be written", path.display()))?;
    Ok(())
}

/// The commands, each under what it is for.
fn sql(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        if !step.why.is_empty() {
            text.push_str(&format!("-- {}\n", one_line(&step.why)));
        }
        if !step.sql.is_empty() {
            text.push_str(&format!("{}\n", step.sql));
        }
    }
    text
}

/// What there is to do now.
fn next(path: &Path, to_settle: &[String], survey: &Survey) {
    let path = path.display();
    let left_out = match survey.left_out.len() {
        0 => String::new(),
        count => format!(", {count} left out (the file says why)"),
    };
    tell(&format!("{path}: {} tables{left_out}", survey.tables.len()));
    tell(
        "next: 1. run the SQL above with psql, as a superuser, or as the owner of the tables who may create roles",
    );
    for (at, it) in to_settle.iter().enumerate() {
        tell(&format!("      {}. {it}", at + 2));
    }
    tell(&format!(
        "then: walferry check -c {path}, and walferry run -c {path}"
    ));
}
