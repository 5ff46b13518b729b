//! The PostgreSQL side of `walferry check`: server, role, limits; tables, publication and slot are gathered for `tables`
//! and `plan`.

use walferry_event::Code;
use walferry_postgres::{
    Catalog, Identity, Provider, PublicationInfo, Publish, Replication, TableInfo, quote_ident,
};

use crate::check::{finding::Finding, options, service, surroundings};
use walferry_pipeline::{
    config::Config,
    connector::{
        choice::{self, LeftOut},
        startup,
    },
    error::Error,
    position::recovery::{Server, Slot},
    tables::{followed, writers::Refused},
};

/// What clocks may differ by before it is told.
const SKEW_MS_MAX: i64 = 1_000;
/// How soon a password ends to be told.
const DAYS_LEFT_MIN: i64 = 30;

/// What the later checks need of the source.
pub(super) struct Examined {
    pub(super) catalog: Catalog,
    replication: Replication,
    pub(super) server: Server,
    pub(super) slot: Slot,
    pub(super) publication: Option<PublicationInfo>,
    /// Those that `run` would follow.
    pub(super) tables: Vec<TableInfo>,
    /// Those that it would leave out.
    pub(super) left_out: Vec<LeftOut>,
    /// Those of the followed whose rows the application cannot change.
    pub(super) broken: Vec<(TableInfo, Refused)>,
    /// What the publication should say of each table, and what was found of its options.
    pub(super) options: Vec<(Publish, Vec<Finding>)>,
}

pub(super) async fn examine(config: &Config, findings: &mut Vec<Finding>) -> Option<Examined> {
    match look(config, findings).await {
        Ok(examined) => Some(examined),
        Err(error) => {
            findings.push(unreachable(&error));
            None
        }
    }
}

/// Asks again for what moves while a connector runs, now that its checkpoint is known.
pub(super) async fn look_again(examined: &mut Option<Examined>, findings: &mut Vec<Finding>) {
    let Some(source) = examined else {
        return;
    };
    let asked = startup::flushed_by_now(&mut source.replication, &mut source.server).await;
    if let Err(error) = asked {
        findings.push(unreachable(&error));
        *examined = None;
    }
}

fn unreachable(error: &Error) -> Finding {
    Finding::error(Code::SourceAnswer, "postgresql", error.to_string())
}

async fn look(config: &Config, findings: &mut Vec<Finding>) -> Result<Examined, Error> {
    findings.extend(service::pooler(config));
    let catalog = connect(config, findings).await?;
    let provider = catalog.provider().await?;
    wal_level(&catalog, provider, findings).await?;
    encoding(&catalog, findings).await?;
    clock(&catalog, findings).await?;
    role(config, &catalog, provider, findings).await?;
    surroundings::before(config, &catalog, provider, findings).await?;
    let slot = startup::slot(config, &catalog).await?;
    limits(&catalog, provider, &slot, findings).await?;
    let mut replication = Replication::connect(&config.source.connect).await?;
    if let Err(error) = replication.expect_primary().await {
        findings.push(Finding::error(
            Code::SourceAnswer,
            "postgresql",
            error.to_string(),
        ));
    }
    let identity = replication.identify().await?;
    describe(&identity, provider, findings);
    if let Some(reason) = followed::origin_unknown(&config.source, identity.server_version) {
        findings.push(Finding::error(Code::OriginFilter, "source.origin", reason));
    }
    let server = startup::server(&mut replication, &identity).await?;
    synchronous(config, &catalog, findings).await?;
    let tables = followed::select(config, &catalog).await?;
    let publication = catalog.publication(&config.source.publication).await?;
    options::unmatched(config, &tables, findings);
    let choice = choice::admit(config, &catalog, publication.as_ref(), tables).await?;
    let tables = &choice.tables;
    let mut options = Vec::with_capacity(tables.len());
    for table in tables {
        let mut said = Vec::new();
        let publication = publication.as_ref();
        let publish = options::findings(config, &catalog, publication, table, &mut said).await?;
        options.push((publish, said));
    }
    let there = publication.as_ref();
    surroundings::after(config, &catalog, &slot, there, tables, findings).await?;
    Ok(Examined {
        catalog,
        replication,
        server,
        slot,
        publication,
        tables: choice.tables,
        left_out: choice.left_out,
        broken: choice.broken,
        options,
    })
}

/// Connects, and says which SQL lets the role in when it is that which lacks.
async fn connect(config: &Config, findings: &mut Vec<Finding>) -> Result<Catalog, Error> {
    let connected = Catalog::connect(&config.source.connect).await;
    // Where a database exists, this is the one right that a log-in can lack.
    if let Err(error) = &connected
        && error.sqlstate() == Some("42501")
    {
        findings.push(
            Finding::error(
                Code::SourceRight,
                format!("role {}", config.source.connect.user),
                "may not connect to the database",
            )
            .remedy("grant it CONNECT")
            .sql(surroundings::connect_sql(config)),
        );
    }
    Ok(connected?)
}

fn describe(identity: &Identity, provider: Provider, findings: &mut Vec<Finding>) {
    let version = identity.server_version;
    findings.push(Finding::ok(
        "postgresql",
        format!(
            "version {}.{}, {}, system identifier {}, timeline {}",
            version / 10_000,
            version % 10_000,
            provider.name(),
            identity.system_id,
            identity.timeline
        ),
    ));
}

async fn wal_level(
    catalog: &Catalog,
    provider: Provider,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    const SUBJECT: &str = "wal_level";
    let level = catalog.wal_level().await?;
    findings.push(match (level.decodes(), &level.effective) {
        (true, None) => Finding::ok(SUBJECT, level.set),
        (true, Some(now)) => Finding::ok(
            SUBJECT,
            format!("{}, now {now}: the first logical slot raises it", level.set),
        ),
        (false, _) => {
            let message = format!("{}; logical decoding needs \"logical\"", level.set);
            service::logical(Finding::error(Code::WalLevel, SUBJECT, message), provider)
        }
    });
    Ok(())
}

/// Times in records are the server's, those of freshness are compared with ours.
async fn clock(catalog: &Catalog, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let (ahead, unsure) = catalog.clock_ahead_ms().await?;
    findings.extend(skewed(ahead, unsure));
    Ok(())
}

/// What is told of a clock that is ahead by so many milliseconds, give or take.
fn skewed(ahead: i64, unsure: i64) -> Option<Finding> {
    if ahead.abs() <= SKEW_MS_MAX + unsure {
        return None;
    }
    let where_it_is = if ahead > 0 { "ahead of" } else { "behind" };
    let message = format!(
        "the server's clock is {} ms {where_it_is} this machine's (give or take {unsure}): freshness, and the alerts on it, are \
         wrong by as much",
        ahead.abs()
    );
    Some(Finding::warning(Code::Clocks, "clock", message).remedy(
        "let both machines follow the same time servers (chronyd, ntpd, systemd-timesyncd)",
    ))
}

/// A database without an encoding may hold what Avro's text cannot.
async fn encoding(catalog: &Catalog, findings: &mut Vec<Finding>) -> Result<(), Error> {
    if catalog.setting("server_encoding").await? == "SQL_ASCII" {
        let message = "the database's encoding is SQL_ASCII, so that it may hold text that is not UTF-8: such a value follows its \
             table's policy (errors)";
        findings.push(
            Finding::warning(Code::ValueRefused, "server_encoding", message)
                .remedy("set errors = \"dead-letter\" or \"park\" where that can happen, or move to a database with an encoding"),
        );
    }
    Ok(())
}

async fn role(
    config: &Config,
    catalog: &Catalog,
    provider: Provider,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    let role = catalog.role().await?;
    let subject = format!("role {}", role.name);
    let ident = quote_ident(&role.name);
    if !role.superuser && !role.replication {
        let finding = Finding::error(Code::ReplicationRight, &subject, "may not use replication");
        findings.push(service::replicate(finding, provider, &role.name));
    } else {
        findings.push(Finding::ok(&subject, "may use replication"));
    }
    if role.superuser {
        findings.push(
            Finding::warning(Code::RolePower, &subject,
                "is a superuser: whoever can change this configuration or holds admin.token acts with its rights",
            )
            .remedy("follow the database with a role of its own that has REPLICATION and SELECT alone: CREATE ROLE walferry LOGIN REPLICATION; GRANT SELECT ON …"),
        );
    }
    if let Some(days) = role.ends_in_days.filter(|days| *days < DAYS_LEFT_MIN) {
        let message = match days {
            ..0 => "its password ends: it ended, and whoever logs in with it is refused".to_owned(),
            days => format!(
                "its password ends in {days} days (VALID UNTIL): the next connection after that is refused"
            ),
        };
        findings.push(
            Finding::warning(Code::RoleEnds, &subject, message)
                .remedy("renew it, or let it not end")
                .sql(format!("ALTER ROLE {ident} VALID UNTIL 'infinity';")),
        );
    }
    let publication = catalog.publication(&config.source.publication).await?;
    if publication.is_none() && config.source.create && !role.can_create_publication {
        let database = quote_ident(&config.source.connect.database);
        findings.push(
            Finding::error(
                Code::SourceRight,
                &subject,
                "may not create a publication in this database",
            )
            .remedy("grant it CREATE on the database, or create the publication for it")
            .sql(format!("GRANT CREATE ON DATABASE {database} TO {ident};")),
        );
    }
    Ok(())
}

async fn limits(
    catalog: &Catalog,
    provider: Provider,
    slot: &Slot,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    let (slots, slots_max) = catalog.slots_free().await?;
    let (senders, senders_max) = catalog.walsenders_free().await?;
    for (subject, used, max, needed) in [
        (
            "max_replication_slots",
            slots,
            slots_max,
            *slot == Slot::Missing,
        ),
        ("max_wal_senders", senders, senders_max, true),
    ] {
        let message = format!("{used} of {max} in use");
        findings.push(if needed && used >= max {
            let message = format!("{message}; a slot that nobody reads may be dropped");
            let finding = Finding::error(Code::SlotsFull, subject, message);
            service::set(finding, provider, subject, &(max + 4).to_string(), true)
        } else {
            Finding::ok(subject, message)
        });
    }
    Ok(())
}

/// Commits that would wait for our session as if it were a standby.
async fn synchronous(
    config: &Config,
    catalog: &Catalog,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    let subject = "synchronous_standby_names";
    let names = catalog.setting(subject).await?;
    let ours = &config.source.connect.application_name;
    if counts(&names, ours) {
        findings.push(
            Finding::warning(Code::CommitsWait, subject,
                format!(
                    "{names:?} counts the connector's session ({ours}) as a standby: commits on the server wait until Kafka has \
                     what they wrote, and hang while Kafka is away"
                ),
            )
            .remedy("name the standbys alone, and not \"*\""),
        );
    }
    Ok(())
}

/// Whether a list of standbys has a name in it. PostgreSQL documentation, `synchronous_standby_names`.
fn counts(names: &str, ours: &str) -> bool {
    names
        .split([',', '(', ')', ' '])
        .map(|name| name.trim_matches('"'))
        .any(|name| name == "*" || name.eq_ignore_ascii_case(ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_told_only_when_it_is_surely_wrong() {
        for (ahead, unsure) in [(0, 1), (1_000, 1), (-1_000, 1), (2_500, 2_000)] {
            assert_eq!(skewed(ahead, unsure), None);
        }
        let told = skewed(-5_000, 40).unwrap();
        assert!(told.message.contains("5000 ms behind"), "{told:?}");
        assert_eq!(told.code, Some(Code::Clocks));
    }

    #[test]
    fn a_list_of_standbys_counts_who_is_in_it() {
        for names in [
            "*",
            "walferry",
            "FIRST 1 (a, \"walferry\")",
            "ANY 2 (*)",
            "a,Walferry",
        ] {
            assert!(counts(names, "walferry"), "{names}");
        }
        for names in ["", "a", "FIRST 1 (a, b)", "walferry_standby"] {
            assert!(!counts(names, "walferry"), "{names}");
        }
    }
}
