//! What to do on which service: a managed one refuses ALTER SYSTEM, and has ways of its own to change a setting or to let a role
//! replicate.
//!
//! Owns these remedies, and the marks of a pooler in source.url. Never: asks the server who runs it; `Provider` knows.

use walferry_event::Code;
use walferry_postgres::{Provider, quote_ident};

use crate::check::finding::Finding;
use walferry_pipeline::config::Config;

/// Parts of host names at which services let their poolers listen, and what to use instead.
const POOLERS: [(&str, &str); 3] = [
    ("-pooler.", "take `-pooler` out of the host (Neon)"),
    (
        "pooler.supabase.com",
        "use the direct connection, db.PROJECT.supabase.co (Supabase)",
    ),
    (".proxy-", "use the endpoint of the instance (RDS Proxy)"),
];
/// Ports on which nothing but poolers listens by custom.
const POOLER_PORTS: [u16; 2] = [6432, 6543];

/// How a setting of the server is changed; `restart` says whether it takes effect with a start alone.
pub(super) fn set(
    finding: Finding,
    provider: Provider,
    name: &str,
    value: &str,
    restart: bool,
) -> Finding {
    let (then, statement) = match restart {
        true => (
            ", then restart the server: a reload is not enough",
            format!("ALTER SYSTEM SET {name} = {value}; -- then restart the server"),
        ),
        false => (
            "",
            format!("ALTER SYSTEM SET {name} = {value}; SELECT pg_reload_conf();"),
        ),
    };
    let plain = value.trim_matches('\'');
    let remedy = match provider {
        Provider::Own => {
            let remedy = format!("set {name} = {plain}{then}");
            return finding.remedy(remedy).sql(statement);
        }
        Provider::Rds => format!(
            "set {name} = {plain} in the instance's parameter group{}",
            reboot(restart)
        ),
        Provider::Aurora => format!(
            "set {name} = {plain} in the cluster's parameter group{}",
            reboot(restart)
        ),
        Provider::CloudSql => format!(
            "set the flag: gcloud sql instances patch INSTANCE --database-flags={name}={plain}"
        ),
        Provider::AlloyDb => format!(
            "set the flag: gcloud alloydb instances update INSTANCE --database-flags={name}={plain}"
        ),
        Provider::Azure => format!(
            "az postgres flexible-server parameter set --server-name SERVER --name {name} --value {plain}{}",
            reboot(restart)
        ),
        Provider::Supabase => format!("supabase postgres-config update --config {name}={plain}"),
        Provider::Neon => format!("ask Neon to change {name}; it is theirs to set"),
    };
    finding.remedy(remedy)
}

fn reboot(restart: bool) -> &'static str {
    if restart { ", then restart it" } else { "" }
}

/// How logical decoding is switched on.
pub(super) fn logical(finding: Finding, provider: Provider) -> Finding {
    let remedy = match provider {
        Provider::Own | Provider::Azure => {
            return set(finding, provider, "wal_level", "'logical'", true);
        }
        Provider::Rds => {
            "set rds.logical_replication = 1 in the instance's parameter group, which raises wal_level, then reboot the instance"
        }
        Provider::Aurora => {
            "set rds.logical_replication = 1 in the cluster's parameter group, which raises wal_level, then reboot the writer"
        }
        Provider::CloudSql => {
            "gcloud sql instances patch INSTANCE --database-flags=cloudsql.logical_decoding=on, which raises wal_level and restarts it"
        }
        Provider::AlloyDb => {
            "gcloud alloydb instances update INSTANCE --database-flags=alloydb.logical_decoding=on, which raises wal_level and \
             restarts it"
        }
        Provider::Supabase => "restart the project; every project of today has wal_level = logical",
        Provider::Neon => {
            "switch on Logical Replication in the project's settings, which raises wal_level for good"
        }
    };
    finding.remedy(remedy)
}

/// How a role is let replicate.
pub(super) fn replicate(finding: Finding, provider: Provider, role: &str) -> Finding {
    let ident = quote_ident(role);
    match provider {
        Provider::Rds | Provider::Aurora => finding
            .remedy("grant it rds_replication; the attribute is not to be had here")
            .sql(format!("GRANT rds_replication TO {ident};")),
        Provider::Neon => finding.remedy(
            "create the role in Neon's console or by its API: those may replicate, and roles that SQL creates may not",
        ),
        Provider::CloudSql | Provider::AlloyDb | Provider::Azure | Provider::Supabase => finding
            .remedy("give it the REPLICATION attribute, as the service's administrator")
            .sql(format!("ALTER ROLE {ident} REPLICATION;")),
        Provider::Own => finding
            .remedy("give it the REPLICATION attribute")
            .sql(format!("ALTER ROLE {ident} REPLICATION;")),
    }
}

/// Whether source.url is a pooler's by its looks; it passes neither a replication session nor the settings of one on.
pub(super) fn pooler(config: &Config) -> Option<Finding> {
    let connect = &config.source.connect;
    let host = connect.host.to_lowercase();
    let known = POOLERS.iter().find(|(part, _)| host.contains(part));
    let remedy = match known {
        Some((_, remedy)) => (*remedy).to_owned(),
        None if POOLER_PORTS.contains(&connect.port) => {
            "use the port of the server itself, 5432 as a rule".to_owned()
        }
        None => return None,
    };
    let message = format!(
        "{}:{} is a connection pooler by its name or port, and a pooler does not pass on what logical replication needs",
        connect.host, connect.port
    );
    Some(Finding::warning(Code::Pooler, "source.url", message).remedy(remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare() -> Finding {
        Finding::error(Code::WalLevel, "wal_level", "replica")
    }

    #[test]
    fn a_managed_service_is_not_given_sql_that_it_refuses() {
        for provider in [
            Provider::Rds,
            Provider::Aurora,
            Provider::CloudSql,
            Provider::AlloyDb,
            Provider::Azure,
            Provider::Supabase,
            Provider::Neon,
        ] {
            let finding = logical(bare(), provider);
            assert_eq!(finding.fix_sql, None, "{provider:?}");
            assert!(finding.remedy.is_some(), "{provider:?}");
            let finding = set(bare(), provider, "max_slot_wal_keep_size", "'50GB'", false);
            let remedy = finding.remedy.unwrap();
            assert!(
                finding.fix_sql.is_none() && remedy.contains("max_slot_wal_keep_size"),
                "{remedy}"
            );
        }
        let own = logical(bare(), Provider::Own);
        assert_eq!(
            own.fix_sql.as_deref(),
            Some("ALTER SYSTEM SET wal_level = 'logical'; -- then restart the server")
        );
    }
}
