//! What PostgreSQL itself says a value is: SQL expressions whose text is that of `rendered`.
//!
//! Owns: the functions of the schema `oracle` that the expressions use, and the expressions of each sort of type.
//! Never: code of the product, nor arithmetic of our own where PostgreSQL has a cast or a function for it.

use super::modes::Modes;

/// The session in which the expressions are read.
pub(super) const SESSION: &str = "set timezone = 'UTC'; set datestyle = 'ISO'; set intervalstyle = 'postgres'; \
    set bytea_output = 'hex'; set extra_float_digits = 1";

/// Functions beside the tables, in a schema that is not followed.
pub(super) const FUNCTIONS: &str = r#"
create schema oracle;
create function oracle.f8(double precision) returns text immutable strict language sql
    as $$ select encode(float8send($1), 'hex') $$;
create function oracle.f4(real) returns text immutable strict language sql
    as $$ select encode(float4send($1), 'hex') $$;
-- The same bits, the lowest byte first.
create function oracle.le(double precision) returns text immutable strict language sql
    as $$ select string_agg(substr(oracle.f8($1), i, 2), '' order by i desc) from generate_series(1, 15, 2) i $$;
create function oracle.q(text) returns text immutable strict language sql
    as $$ select '"' || replace(replace($1, '\', '\\'), '"', '\"') || '"' $$;
-- Bits as bytes, the lowest first, without zeros in front.
create function oracle.bits(text) returns text immutable strict language sql as $$
    select coalesce(string_agg(lpad(to_hex(substr(p, i, 8)::bit(8)::int), 2, '0'), '' order by i desc), '')
    from (select ltrim($1, '0') as z) a,
         lateral (select lpad(z, ceil(length(z) / 8.0)::int * 8, '0') as p) b,
         lateral generate_series(1, length(p), 8) i $$;
create function oracle.iso_date(date) returns text immutable strict language sql as $$
    select case when y > 9999 then '+' || y when y < 0 then '-' || lpad((-y)::text, 4, '0') else lpad(y::text, 4, '0') end
           || '-' || lpad(extract(month from $1)::text, 2, '0') || '-' || lpad(extract(day from $1)::text, 2, '0')
    from (select extract(year from $1)::int + (extract(year from $1) < 0)::int as y) a $$;
create function oracle.us(timestamp) returns numeric immutable strict language sql
    as $$ select trunc(extract(epoch from $1) * 1000000) $$;
create function oracle.point(point) returns text immutable strict language sql as $$
    select '{x:' || oracle.f8($1[0]) || ',y:' || oracle.f8($1[1]) || ',wkb:0101000000' || oracle.le($1[0])
           || oracle.le($1[1]) || ',srid:null}' $$;
create function oracle.shape(text, text, point[]) returns text immutable strict language sql as $$
    select '{wkb:01' || $2 || (select string_agg(oracle.le(p[0]) || oracle.le(p[1]), '' order by o)
                               from unnest($3) with ordinality u(p, o))
           || ',srid:null,extensions:{"type":"' || $1 || '"}}' $$;
"#;

/// The expression of a column under some modes.
pub(super) type Oracle = fn(&Modes, &str) -> String;

/// The type's own text.
pub(super) fn text(_: &Modes, it: &str) -> String {
    format!("{it}::text")
}

pub(super) fn double(_: &Modes, it: &str) -> String {
    format!("oracle.f8({it})")
}

pub(super) fn single(_: &Modes, it: &str) -> String {
    format!("oracle.f4({it})")
}

/// A decimal with precision and scale.
pub(super) fn decimal(modes: &Modes, it: &str) -> String {
    match modes.decimal {
        "double" => format!("oracle.f8({it}::float8)"),
        _ => format!("{it}::text"),
    }
}

/// A decimal without.
pub(super) fn variable_decimal(modes: &Modes, it: &str) -> String {
    match modes.decimal {
        "precise" => format!("trim_scale({it})::text"),
        _ => decimal(modes, it),
    }
}

/// A decimal that may be no number.
pub(super) fn any_decimal(modes: &Modes, it: &str) -> String {
    let known = "when 'NaN' then 'NAN' when 'Infinity' then 'POSITIVE_INFINITY' when '-Infinity' then 'NEGATIVE_INFINITY'";
    match modes.decimal {
        "string" => format!("case {it}::text {known} else {it}::text end"),
        _ => decimal(modes, it),
    }
}

pub(super) fn money(modes: &Modes, it: &str) -> String {
    decimal(modes, &format!("{it}::numeric"))
}

pub(super) fn bytea(modes: &Modes, it: &str) -> String {
    let base64 = format!("translate(encode({it}, 'base64'), E'\\n', '')");
    match modes.binary {
        "base64" => base64,
        "base64-url-safe" => format!("translate({base64}, '+/', '-_')"),
        _ => format!("encode({it}, 'hex')"),
    }
}

pub(super) fn bit(_: &Modes, it: &str) -> String {
    format!("oracle.bits({it}::text)")
}

/// One bit; none is text.
pub(super) fn one_bit(_: &Modes, it: &str) -> String {
    format!("case {it}::text when '1' then 'true' when '0' then 'false' when '' then '' end")
}

/// What the bytes do not say goes out as text.
pub(super) fn varbit(_: &Modes, it: &str) -> String {
    format!("case when {it}::text like '0%' then {it}::text else oracle.bits({it}::text) end")
}

pub(super) fn date(modes: &Modes, it: &str) -> String {
    let [infinity, minus, finite] = match modes.time {
        "isostring" => [
            "infinity",
            "-infinity",
            &format!("oracle.iso_date({it}) || 'Z'"),
        ],
        _ => [
            "2147483647",
            "-2147483648",
            &format!("({it} - date '1970-01-01')::text"),
        ],
    };
    format!(
        "case {it} when 'infinity' then '{infinity}' when '-infinity' then '{minus}' else {finite} end"
    )
}

fn clock(modes: &Modes, it: &str, milliseconds: bool) -> String {
    let us = format!("(extract(epoch from {it}) * 1000000)::bigint");
    match modes.time {
        "isostring" => format!("{it}::text || 'Z'"),
        "nanoseconds" => format!("({us} * 1000)::text"),
        "connect" => format!("({us} / 1000)::text"),
        "adaptive" if milliseconds => format!("({us} / 1000)::text"),
        _ => format!("{us}::text"),
    }
}

pub(super) fn time(modes: &Modes, it: &str) -> String {
    clock(modes, it, false)
}

/// A time of at most three digits after the second.
pub(super) fn short_time(modes: &Modes, it: &str) -> String {
    clock(modes, it, true)
}

pub(super) fn zoned_time(_: &Modes, it: &str) -> String {
    format!(
        "case {it}::text when '24:00:00+00' then '24:00:00' else ({it} at time zone 'UTC')::time::text end || 'Z'"
    )
}

fn moment(modes: &Modes, it: &str, milliseconds: bool) -> String {
    let adaptive = matches!(modes.time, "adaptive" | "adaptive-time-microseconds");
    let us = format!("oracle.us({it})");
    let [infinity, minus, finite] = match modes.time {
        "isostring" => [
            "infinity",
            "-infinity",
            &format!("oracle.iso_date({it}::date) || 'T' || {it}::time::text || 'Z'"),
        ],
        _ if modes.time == "connect" || (adaptive && milliseconds) => [
            "9223372036825200000",
            "-9223372036832400000",
            &format!("floor({us} / 1000)::text"),
        ],
        "nanoseconds" => [
            "9223372036854775807",
            "-9223372036854775808",
            &format!("({us} * 1000)::text"),
        ],
        _ => [
            "9223372036854775807",
            "-9223372036854775808",
            &format!("{us}::text"),
        ],
    };
    format!(
        "case {it} when 'infinity' then '{infinity}' when '-infinity' then '{minus}' else {finite} end"
    )
}

pub(super) fn timestamp(modes: &Modes, it: &str) -> String {
    moment(modes, it, false)
}

/// A timestamp of at most three digits after the second.
pub(super) fn short_timestamp(modes: &Modes, it: &str) -> String {
    moment(modes, it, true)
}

fn zoned(it: &str, fraction: &str) -> String {
    let utc = format!("({it} at time zone 'UTC')");
    format!(
        "case when isfinite({it}) then oracle.iso_date({utc}::date) || 'T' || to_char({utc}, 'HH24:MI:SS') || {} || 'Z' \
         else {it}::text end",
        fraction.replace("UTC", &utc)
    )
}

pub(super) fn zoned_timestamp(_: &Modes, it: &str) -> String {
    zoned(it, "to_char(UTC, '.US')")
}

/// An instant of three digits after the second.
pub(super) fn short_zoned_timestamp(_: &Modes, it: &str) -> String {
    zoned(it, "to_char(UTC, '.MS')")
}

/// An instant of whole seconds.
pub(super) fn whole_zoned_timestamp(_: &Modes, it: &str) -> String {
    zoned(it, "''")
}

pub(super) fn interval(modes: &Modes, it: &str) -> String {
    let part = |name: &str| format!("extract({name} from {it})");
    let finite = match modes.interval {
        "string" => format!(
            "'P' || {} || 'Y' || {} || 'M' || {} || 'DT' || {} || 'H' || {} || 'M' || trim_scale({}) || 'S'",
            part("year"),
            part("month"),
            part("day"),
            part("hour"),
            part("minute"),
            part("second")
        ),
        // A year has 365.25 days, a month a twelfth of it.
        _ => format!(
            "trunc(({} * 12 + {}) * 2629800000000 + {} * 86400000000 + {} * 3600000000 + {} * 60000000 + {})::text",
            part("year"),
            part("month"),
            part("day"),
            part("hour"),
            part("minute"),
            part("microsecond")
        ),
    };
    let [infinity, minus] = match modes.interval {
        "string" => ["infinity", "-infinity"],
        _ => ["9223372036854775807", "-9223372036854775808"],
    };
    format!(
        "case {it}::text when 'infinity' then '{infinity}' when '-infinity' then '{minus}' else {finite} end"
    )
}

pub(super) fn hstore(modes: &Modes, it: &str) -> String {
    let (pair, order) = match modes.hstore {
        "map" => (
            "oracle.q(key) || ':' || coalesce(oracle.q(value), 'null')",
            "key collate \"C\"",
        ),
        _ => (
            "to_json(key)::text || ':' || coalesce(to_json(value)::text, 'null')",
            "o",
        ),
    };
    format!(
        "case when {it} is not null then (select '{{' || coalesce(string_agg({pair}, ',' order by {order}), '') || '}}' \
         from each({it}) with ordinality e(key, value, o)) end"
    )
}

/// The elements of an array of one dimension, `x` in the expression.
pub(super) fn elements(it: &str, element: &str) -> String {
    format!(
        "case when {it} is not null then (select '[' || coalesce(string_agg(coalesce({element}, 'null'), ',' order by o), '') \
         || ']' from unnest({it}) with ordinality u(x, o)) end"
    )
}
