//! Who runs the server, and what that decides: how logical decoding is switched on, and what lets a role replicate.
//!
//! Owns the marks by which a managed service is known. Never: what an operator does about it.
//! Source: "Configure logical replication and decoding" (Cloud SQL), "Logical replication in Neon", the setting names of supautils;
//! PostgreSQL documentation, `wal_level` and, from 19 on, `effective_wal_level`. No mark was seen on a service itself.

use super::{Catalog, value};
use crate::Error;

/// Who runs the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Whoever has the machine.
    Own,
    /// Amazon RDS.
    Rds,
    /// Amazon Aurora.
    Aurora,
    /// Google Cloud SQL.
    CloudSql,
    /// Google AlloyDB.
    AlloyDb,
    /// Azure Database for PostgreSQL.
    Azure,
    /// Supabase.
    Supabase,
    /// Neon.
    Neon,
}

/// Settings and roles that one service alone has; the first that is there decides.
const MARKS: [(Provider, &[&str], &str); 7] = [
    (Provider::Aurora, &["apg_plan_mgmt.use_plan_baselines"], ""),
    (
        Provider::Rds,
        &["rds.extensions", "rds.logical_replication"],
        "rds_superuser",
    ),
    (
        Provider::AlloyDb,
        &["alloydb.logical_decoding", "alloydb.iam_authentication"],
        "alloydbsuperuser",
    ),
    (
        Provider::CloudSql,
        &["cloudsql.logical_decoding", "cloudsql.iam_authentication"],
        "cloudsqlsuperuser",
    ),
    (Provider::Azure, &["azure.extensions"], "azure_pg_admin"),
    (
        Provider::Supabase,
        &["supautils.reserved_roles"],
        "supabase_admin",
    ),
    (Provider::Neon, &["neon.timeline_id"], "neon_superuser"),
];

impl Provider {
    /// Its name, as its users write it.
    pub fn name(self) -> &'static str {
        match self {
            Provider::Own => "self-hosted",
            Provider::Rds => "Amazon RDS",
            Provider::Aurora => "Amazon Aurora",
            Provider::CloudSql => "Google Cloud SQL",
            Provider::AlloyDb => "Google AlloyDB",
            Provider::Azure => "Azure Database for PostgreSQL",
            Provider::Supabase => "Supabase",
            Provider::Neon => "Neon",
        }
    }
}

/// How far the WAL goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalLevel {
    /// The setting.
    pub set: String,
    /// What is written now, where the server tells it (PostgreSQL 19).
    pub effective: Option<String>,
}

impl WalLevel {
    /// Whether a logical slot can be created: from 19 on the first one raises `replica` by itself.
    pub fn decodes(&self) -> bool {
        self.set == "logical" || (self.set == "replica" && self.effective.is_some())
    }
}

impl Catalog {
    /// Who runs the server.
    pub async fn provider(&self) -> Result<Provider, Error> {
        const QUESTION: &str = "\
            SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_proc WHERE proname = 'aurora_version' AND pronamespace = 11),
                   ARRAY(SELECT name FROM unnest($1::text[]) name WHERE pg_catalog.current_setting(name, true) IS NOT NULL),
                   ARRAY(SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolname = ANY ($2::text[]))";
        let doing = "asking who runs the server";
        let settings: Vec<&str> = MARKS.iter().flat_map(|it| it.1.iter().copied()).collect();
        let roles: Vec<&str> = MARKS.iter().map(|it| it.2).collect();
        let row = self.one(doing, QUESTION, &[&settings, &roles]).await?;
        let aurora: bool = value(doing, &row, 0)?;
        let settings: Vec<String> = value(doing, &row, 1)?;
        let roles: Vec<String> = value(doing, &row, 2)?;
        if aurora {
            return Ok(Provider::Aurora);
        }
        let has = |(_, names, role): &&(Provider, &[&str], &str)| {
            settings.iter().any(|it| names.contains(&it.as_str()))
                || roles.iter().any(|it| it == role)
        };
        Ok(MARKS.iter().find(has).map_or(Provider::Own, |it| it.0))
    }

    /// How far the WAL goes; logical decoding needs `logical`.
    pub async fn wal_level(&self) -> Result<WalLevel, Error> {
        const QUESTION: &str = "\
            SELECT pg_catalog.current_setting('wal_level'), pg_catalog.current_setting('effective_wal_level', true)";
        let doing = "asking for the setting wal_level";
        let row = self.one(doing, QUESTION, &[]).await?;
        Ok(WalLevel {
            set: value(doing, &row, 0)?,
            effective: value(doing, &row, 1)?,
        })
    }

    /// How far the server's clock is ahead of this machine's, in milliseconds, and how far that may be wrong.
    pub async fn clock_ahead_ms(&self) -> Result<(i64, i64), Error> {
        const QUESTION: &str =
            "SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000)::bigint";
        let doing = "asking for the server's time";
        let now = || {
            let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        };
        // The first question is parsed, too; the second tells.
        let _: i64 = value(doing, &self.one(doing, QUESTION, &[]).await?, 0)?;
        let asked = now();
        let row = self.one(doing, QUESTION, &[]).await?;
        let answered = now();
        let theirs: i64 = value(doing, &row, 0)?;
        let half = (answered - asked).abs() / 2;
        Ok((theirs - asked - half, half + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replica_is_enough_where_the_server_raises_it_by_itself() {
        let level = |set: &str, effective: Option<&str>| WalLevel {
            set: set.into(),
            effective: effective.map(str::to_owned),
        };
        assert!(level("logical", None).decodes());
        assert!(level("replica", Some("replica")).decodes());
        assert!(level("replica", Some("logical")).decodes());
        assert!(!level("replica", None).decodes());
        assert!(!level("minimal", Some("minimal")).decodes());
    }
}
