//! From Debezium: its configuration becomes a file that goes on where its slot stands.

use std::process::Command;

use apache_avro::types::Value as Avro;
use walferry_testkit::checker::Target;
use walferry_testkit::process::{Walferry, binary};

use crate::place::{Place, READY};
use crate::records::{columns, read, schemas};

#[test]
fn a_connector_of_debeziums_is_taken_over_by_its_configuration() {
    let place = Place::shared("migrate");
    let slot = format!("dbz_{}", place.name);
    place.sql(
        "create table orders (id int primary key, price numeric(9, 2), card text);
         create table lines (id int primary key);
         create table other (id int primary key);
         insert into orders values (1, 1.50, 'published by Debezium');
         create publication dbz_publication for all tables",
    );
    place.sql(&format!(
        "select pg_create_logical_replication_slot('{slot}', 'pgoutput')"
    ));
    place.sql("insert into orders values (2, 2.50, 'secret')");

    let database = Target::from_url(&place.url).unwrap();
    let text = format!(
        "connector.class = io.debezium.connector.postgresql.PostgresConnector
         name = {name}\ntopic.prefix = {name}
         plugin.name = pgoutput\nslot.name = {slot}
         database.hostname = {}\ndatabase.port = {}\ndatabase.user = {}\ndatabase.dbname = {}
         database.password = hunter2\ndatabase.sslmode = disable
         table.include.list = public\\\\.(orders|lines)
         column.exclude.list = public\\\\.orders\\\\.card
         decimal.handling.mode = string
         max.batch.size = 4096
         value.converter.schema.registry.url = {registry}",
        database.host,
        database.port,
        database.user,
        database.database,
        name = place.name,
        registry = place.registry,
    );
    std::fs::create_dir_all(&place.folder).unwrap();
    let theirs = place.folder.join("debezium.properties");
    std::fs::write(&theirs, text).unwrap();
    let output = Command::new(binary().unwrap())
        .args(["migrate", "debezium"])
        .arg(&theirs)
        .output()
        .unwrap();
    let ours = String::from_utf8(output.stdout).unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    assert!(ours.contains("# - max.batch.size: "), "{ours}");
    assert!(!ours.contains("hunter2") && !told.contains("hunter2"));

    let file = place.folder.join("migrated.toml");
    std::fs::write(&file, ours).unwrap();
    let mut settings = place.all();
    let listen = settings.admin_url().replace("http://", "");
    settings
        .env("WALFERRY_SOURCE_PASSWORD", "hunter2")
        .env("WALFERRY_KAFKA__BROKERS", &place.brokers)
        .env("WALFERRY_ADMIN__LISTEN", &listen);
    let arguments = ["run", "--adopt-slot", "-c", file.to_str().unwrap()];
    let mut walferry = Walferry::start_with(&arguments, &settings, &place.folder).unwrap();
    walferry.wait_ready(READY);
    place.sql(
        "insert into orders values (3, 3.50, 'secret'); insert into other values (1);
         insert into lines values (1)",
    );
    walferry.wait_status("the changes of two tables", READY, |it| {
        let of = |table: &str| {
            it["tables"]
                .as_array()?
                .iter()
                .find(|it| it["name"] == table)
        };
        let changes = |table: &str| of(table).map_or(0, |it| it["changes"].as_u64().unwrap());
        let all = ["public.orders", "public.lines", "public.other"];
        all.map(changes) == [2, 1, 0]
    });
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));

    let mut schemas = schemas(&place);
    let prices: Vec<Avro> = read(&place, "public.orders")
        .iter()
        .map(|record| {
            let value = record.value.as_ref().unwrap();
            let value = schemas.decode(value);
            let columns = columns(&value["after"]);
            let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["id", "price"]);
            columns[1].1.clone()
        })
        .collect();
    let price = |text: &str| Avro::Union(1, Box::new(Avro::String(text.to_owned())));
    assert_eq!(prices, [price("2.50"), price("3.50")]);
}
