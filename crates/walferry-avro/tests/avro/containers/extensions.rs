//! hstore, geometry, PostGIS and vectors.

use walferry_avro::{Format, HstoreMode, Quirk};

use super::{check, quirk, schema, wkb};
use crate::harness::*;

#[test]
fn hstore_as_json_and_as_a_map() {
    let text = r#""key1"=>"val1", "key2"=>NULL, "a \"b\" \\"=>"""#;
    check(
        extension("hstore"),
        &Format::default(),
        &[
            (
                text,
                r#"string {"key1":"val1","key2":null,"a \"b\" \\":""}"#,
            ),
            ("", "string {}"),
            ("a", "error malformed"),
        ],
    );
    let map = format(|format| format.hstore = HstoreMode::Map);
    check(
        extension("hstore"),
        &map,
        &[
            (
                text,
                r#"map a "b" \ => string , key1 => string val1, key2 => null"#,
            ),
            ("", "map "),
        ],
    );
    assert_eq!(
        schema(extension("hstore"), &map),
        r#"["null",{"type":"map","values":["null","string"]}]"#
    );
    assert_eq!(
        schema(extension("hstore"), &Format::default()),
        r#"["null",{"type":"string","connect.version":1,"connect.name":"io.debezium.data.Json"}]"#
    );
    check(
        extension("hstore"),
        &quirk(Quirk::HstoreHashOrder),
        &[(
            r#""a"=>"1", "mm"=>"2", "zz"=>"3", "bbbb"=>"4""#,
            r#"string {"mm":"2","zz":"3","a":"1","bbbb":"4"}"#,
        )],
    );
}

#[test]
fn geometry() {
    let one = |oid, text: &str, expected: &str| {
        check(
            column("c", oid, -1),
            &Format::default(),
            &[(text, expected)],
        );
    };
    let point = wkb(1, &[], &[1.0, -1.5]);
    one(
        600,
        "(1,-1.5)",
        &format!("{{x: double 1, y: double -1.5, wkb: bytes {point}, srid: null}}"),
    );
    let shape = |wkb: &str, extensions: &str| {
        format!("{{wkb: bytes {wkb}, srid: null, extensions: map {extensions}}}")
    };
    one(
        603,
        "(1,1),(0,0)",
        &shape(
            &wkb(3, &[1, 5], &[1., 1., 1., 0., 0., 0., 0., 1., 1., 1.]),
            "type => string box",
        ),
    );
    one(
        601,
        "[(0,0),(0,1)]",
        &shape(&wkb(2, &[2], &[0., 0., 0., 1.]), "type => string lseg"),
    );
    for (text, closed) in [
        ("((0,0),(0,1),(0,2))", "true"),
        ("[(0,0),(0,1),(0,2)]", "false"),
    ] {
        one(
            602,
            text,
            &shape(
                &wkb(2, &[3], &[0., 0., 0., 1., 0., 2.]),
                &format!("closed => string {closed}, type => string path"),
            ),
        );
    }
    let ring = wkb(3, &[1, 4], &[0., 0., 0., 1., 1., 0., 0., 0.]);
    for text in ["((0,0),(0,1),(1,0))", "((0,0),(0,1),(1,0),(0,0))"] {
        one(604, text, &shape(&ring, "type => string polygon"));
    }
    let center = wkb(1, &[], &[10., 4.]);
    one(
        718,
        "<(10,4),10>",
        &format!(
            "{{center: {{x: double 10, y: double 4, wkb: bytes {center}, srid: null}}, radius: double 10}}"
        ),
    );
    one(628, "{-1,0,0}", "{a: double -1, b: double 0, c: double 0}");
    one(
        600,
        "(1e+20,Infinity)",
        &format!(
            "{{x: double 100000000000000000000, y: double inf, wkb: bytes {}, srid: null}}",
            wkb(1, &[], &[1e20, f64::INFINITY])
        ),
    );
    for (oid, text) in [
        (600, "(1)"),
        (600, "(1,2"),
        (600, "(1,2)x"),
        (603, "(1,1)"),
        (601, "(0,0),(0,1)"),
        (602, "()"),
        (602, "[(0,0),]"),
        (604, "[(0,0)]"),
        (718, "<(1,2),>"),
        (628, "{1,2}"),
        (600, ""),
    ] {
        one(oid, text, "error malformed");
    }
}

#[test]
fn postgis_keeps_its_bytes_and_tells_the_srid() {
    let point = "0101000020730C00001C7C613255DE6540787AA52C435C42C0";
    check(
        extension("geometry"),
        &Format::default(),
        &[
            (
                point,
                &format!(
                    "{{wkb: bytes {}, srid: int 3187, extensions: null}}",
                    point.to_lowercase()
                ),
            ),
            (
                "010700000000000000",
                "{wkb: bytes 010700000000000000, srid: null, extensions: null}",
            ),
            // The other byte order.
            (
                "0020000001000010E6",
                "{wkb: bytes 0020000001000010e6, srid: int 4326, extensions: null}",
            ),
            ("0101000020", "error malformed"),
            ("01010", "error malformed"),
            ("0201000000", "error malformed"),
            ("", "error malformed"),
        ],
    );
    check(
        extension("geography"),
        &Format::default(),
        &[(
            "0101000020E6100000",
            "{wkb: bytes 0101000020e6100000, srid: int 4326}",
        )],
    );
    assert_eq!(
        schema(required(extension("geography")), &Format::default()),
        r#"{"type":"record","name":"Geography","namespace":"io.debezium.data.geometry","fields":[{"name":"wkb","type":"bytes"},{"name":"srid","type":["null","int"],"default":null}],"connect.doc":"Geography","connect.version":1,"connect.name":"io.debezium.data.geometry.Geography"}"#
    );
    // Optional although the column is not.
    assert_eq!(
        schema(required(extension("geometry")), &Format::default()),
        r#"["null",{"type":"record","name":"Geometry","namespace":"io.debezium.data.geometry","fields":[{"name":"wkb","type":"bytes"},{"name":"srid","type":["null","int"],"default":null},{"name":"extensions","type":["null",{"type":"map","values":"string"}],"default":null}],"connect.doc":"Geometry","connect.version":2,"connect.name":"io.debezium.data.geometry.Geometry"}]"#
    );
}

#[test]
fn vectors() {
    check(
        extension("vector"),
        &Format::default(),
        &[
            ("[1,2.5,-3]", "[double 1, double 2.5, double -3]"),
            ("[1,]", "error malformed"),
            ("1", "error malformed"),
        ],
    );
    check(
        extension("halfvec"),
        &Format::default(),
        &[("[1,2]", "[float 1, float 2]")],
    );
    check(
        extension("sparsevec"),
        &Format::default(),
        &[
            (
                "{1:201,9:209.5}/1000000000",
                "{dimensions: int 1000000000, vector: [{key: int 1, value: double 201}, {key: int 9, value: double 209.5}]}",
            ),
            ("{}/3", "{dimensions: int 3, vector: []}"),
            ("{1}/3", "error malformed"),
            ("{1:2}", "error malformed"),
        ],
    );
    check(
        extension("sparsevec"),
        &quirk(Quirk::SparsevecInt16),
        &[
            ("{}/32767", "{dimensions: int 32767, vector: []}"),
            ("{}/32768", "error out_of_range"),
        ],
    );
    // As the dictionary prints them.
    assert_eq!(
        schema(extension("vector"), &Format::default()),
        r#"["null",{"type":"array","items":"double","connect.version":1,"connect.name":"io.debezium.data.DoubleVector"}]"#
    );
    assert_eq!(
        schema(extension("sparsevec"), &quirk(Quirk::SparsevecInt16)),
        r#"["null",{"type":"record","name":"SparseDoubleVector","namespace":"io.debezium.data","fields":[{"name":"dimensions","type":{"type":"int","connect.type":"int16"}},{"name":"vector","type":{"type":"array","items":{"type":"record","name":"MapEntry","namespace":"io.confluent.connect.avro","fields":[{"name":"key","type":{"type":"int","connect.type":"int16"}},{"name":"value","type":"double"}]}}}],"connect.doc":"Sparse double vector","connect.version":1,"connect.name":"io.debezium.data.SparseDoubleVector"}]"#
    );
}
