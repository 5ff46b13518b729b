//! A role that may read some columns of a table alone: what is read has to be granted, and no more.

use walferry_stack::test_postgres_major;

use crate::audit::audit;
use crate::park::table;
use crate::place::{Place, READY, told};

#[test]
fn a_role_reads_the_columns_that_leave_and_no_others() {
    if test_postgres_major() < 15 {
        // Without column lists everything is read.
        return;
    }
    let place = Place::shared("grants");
    let role = format!("walferry_columns_{}", std::process::id());
    let publication = place.slot();
    place.sql(&format!(
        "create role {role} login replication;
         create table t (id int primary key, secret text, note text);
         insert into t select i, 's', 'a' from generate_series(1, 500) i;
         create table m (id int primary key, note text, secret text) partition by range (id);
         create table m_1 partition of m for values from (0) to (1000);
         insert into m select i, 'a', 's' from generate_series(1, 500) i;
         grant select (id) on t, m to {role};
         create publication {publication} for table only t (id, note), m (id, note) with (publish_via_partition_root)"
    ));
    let mut settings = place.all();
    settings
        .set_text(
            "source.url",
            &place.url.replace("postgres@", &format!("{role}@")),
        )
        .set("snapshot.chunk_rows", "100")
        .set("source.heartbeat_ms", "200")
        .set_text("admin.token", "open")
        .table("name = \"public.*\"\nexclude_columns = [\"secret\"]");
    let path = settings.write(&place.folder).unwrap();
    let path = path.to_str().unwrap();
    let remedy = format!("GRANT SELECT (\"id\", \"note\") ON \"public\".\"m\" TO \"{role}\"");
    let (code, said) = place.run_ends(&settings);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.replace("\\\"", "\"").contains(&remedy), "{said}");
    // What `check` says leads to a start.
    let (_, sql) = told(&["check", "--fix-sql", "-c", path]);
    assert!(sql.contains(&remedy), "{sql}");
    for line in sql.lines().filter(|line| line.starts_with("GRANT")) {
        place.sql(line);
    }
    let mut walferry = place.streaming(&settings);
    place.drain("update t set note = 'b' where id < 50; delete from m where id > 450; update m set secret = 'x'");
    let (code, report, errors) = audit(&place, &settings, &[]);
    assert_eq!(code, Some(0), "{report:#}\n{errors}");
    // Beside the stream a reading is a lock as well.
    let (code, said) = told(&["resync", "-c", path, "public.t", "public.m"]);
    assert_eq!(code, Some(0), "{said}");
    for table in ["public.t", "public.m"] {
        walferry.wait_status("they are read again", READY, |status| {
            let read = status["snapshot"].as_array().cloned();
            let read = read.unwrap_or_default();
            read.iter()
                .any(|it| it["name"] == table && it["state"] == "done" && it["rows"] != 0)
        });
    }
    place.drain("insert into t values (1000, 's', 'c')");
    let (code, report, errors) = audit(&place, &settings, &[]);
    assert_eq!(code, Some(0), "{report:#}\n{errors}");
    walferry.sigterm();
    walferry.wait_exit(READY);
    place.sql(&format!("drop owned by {role}; drop role {role}"));
}

/// A table that joins later in a publication of somebody else's, and that the role may not read: what is told has the whole SQL.
#[test]
fn what_is_told_of_a_table_that_is_not_published_lets_it_be_read_too() {
    let place = Place::shared("joins");
    let role = format!("walferry_joins_{}", std::process::id());
    let publication = place.slot();
    place.sql(&format!(
        "create role {role} login replication; create table t (id int primary key);
         grant select on t to {role}; create publication {publication} for table t"
    ));
    let mut settings = place.all();
    let url = place.url.replace("postgres@", &format!("{role}@"));
    settings
        .set_text("source.url", &url)
        .set("source.heartbeat_ms", "200");
    let path = settings.write(&place.folder).unwrap();
    let path = path.to_str().unwrap();
    let mut walferry = place.streaming(&settings);
    place.sql(
        "create table later (id int primary key); insert into later select generate_series(1, 5)",
    );
    let status = walferry.wait_status("it is left out", READY, |it| {
        table(it, "public.later")["reason"].is_string()
    });
    let reason = table(&status, "public.later")["reason"]
        .as_str()
        .unwrap()
        .to_owned();
    let grant = format!("GRANT SELECT ON \"public\".\"later\" TO \"{role}\"");
    assert!(
        reason.contains("ALTER PUBLICATION") && reason.contains(&grant),
        "{reason}"
    );
    let (_, sql) = told(&["check", "--fix-sql", "-c", path]);
    assert!(sql.contains(&grant), "{sql}");
    place.sql(&grant);
    place.sql(&format!("alter publication {publication} add table later"));
    walferry.wait_status("it is followed", READY, |it| {
        let later = table(it, "public.later");
        later["state"] == "streaming" && later["reason"].is_null()
    });
    place.drain("insert into later values (6)");
    let (code, report, errors) = audit(&place, &settings, &[]);
    assert_eq!(code, Some(0), "{report:#}\n{errors}");
    walferry.sigterm();
    walferry.wait_exit(READY);
    place.sql(&format!("drop owned by {role}; drop role {role}"));
}
