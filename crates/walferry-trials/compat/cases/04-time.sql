-- case dates
-- covers: date in every mode
-- groups: default, time-connect, time-isostring, time-nanoseconds
create table t (id int primary key, a date, b date not null);
insert into t values (1, '2016-11-04', '1970-01-01');
-- stream
insert into t values (2, '2017-09-15', '1969-12-31'), (3, null, '9999-12-31'), (4, '1600-02-29', '0001-01-01');
update t set a = '2024-02-29' where id = 3;
delete from t where id = 4;

-- case dates-early-streamed
-- covers: dates before 1582 and BC, streamed
-- groups: default, time-isostring
create table t (id int primary key, a date);
-- stream
insert into t values (1, '0044-03-15 BC'), (2, '4713-01-01 BC'), (3, '1582-10-10'), (4, '5874897-12-31');

-- case dates-early-snapshot
-- covers: dates before 1582 and BC, in the snapshot
create table t (id int primary key, a date);
insert into t values (1, '0044-03-15 BC'), (2, '4713-01-01 BC'), (3, '1582-10-10');
-- stream
insert into t values (4, '2000-01-01');

-- case date-infinity-streamed
-- covers: infinite dates, streamed
-- groups: default, time-isostring
create table t (id int primary key, a date);
-- stream
insert into t values (1, 'infinity'), (2, '-infinity');

-- case date-infinity-snapshot
-- covers: infinite dates, in the snapshot
create table t (id int primary key, a date);
insert into t values (1, 'infinity'), (2, '-infinity');
-- stream
insert into t values (3, '2000-01-01');

-- case times
-- covers: time(0) to time(6) in every mode
-- groups: default, time-adaptive-microseconds, time-microseconds, time-nanoseconds, time-connect, time-isostring
create table t (id int primary key, a time, b time(0), c time(3), d time(6), e time not null);
insert into t values (1, '13:51:30', '13:51:30', '13:51:30.123', '13:51:30.123456', '00:00:00');
-- stream
insert into t values (2, '04:05:11.789', '04:05:11', '04:05:11.789', '23:59:59.999999', '23:59:59.000001'), (3, null, null, null, null, '12:00');
update t set a = '00:00:01' where id = 3;

-- case time-24
-- covers: 24:00:00
-- groups: default, time-isostring, time-connect
create table t (id int primary key, a time, b time(3));
insert into t values (1, '24:00:00', '24:00:00');
-- stream
insert into t values (2, '24:00:00', '24:00:00');

-- case timetzs
-- covers: time with time zone, shifted to UTC
-- groups: default, time-isostring, time-connect
create table t (id int primary key, a timetz, b timetz(3), c timetz not null);
insert into t values (1, '13:51:30.123789+02:00', '13:51:30.123+02:00', '00:00:00+00');
-- stream
insert into t values (2, '24:00:00+00', '00:00:00+05:30', '23:59:59.999999-08'), (3, null, null, '04:05:11 PST'), (4, '12:00+00', '12:00:00.1+00', '01:00:00+02');

-- case timestamps
-- covers: timestamp(0) to timestamp(6) in every mode
-- groups: default, time-adaptive-microseconds, time-microseconds, time-nanoseconds, time-connect, time-isostring
create table t (id int primary key, a timestamp, b timestamp(0), c timestamp(3), d timestamp(6), e timestamp not null);
insert into t values (1, '2016-11-04 13:51:30.123456', '2016-11-04 13:51:30', '2016-11-04 13:51:30.123456', '2016-11-04 13:51:30.123456', '1970-01-01');
-- stream
insert into t values (2, '1936-10-25 22:10:12.608', '1969-12-31 23:59:59', '1969-12-31 23:59:59.999', '1969-12-31 23:59:59.999999', '2262-01-01'), (3, null, null, null, null, '1900-01-01 00:00:00.000001');
update t set a = '2024-02-29 12:00:00.1' where id = 3;

-- case timestamps-far
-- covers: timestamps far away, streamed
-- groups: default, time-isostring, time-connect, time-nanoseconds
create table t (id int primary key, a timestamp, c timestamp(3));
-- stream
insert into t values (1, '21016-11-04 13:51:30.123456', '21016-11-04 13:51:30.124'), (2, '294247-01-01 23:59:59.999999', '294247-01-01 23:59:59.999'),
  (3, '4713-12-31 23:59:59.999999 BC', '4713-12-31 23:59:59.999 BC'), (4, '0001-01-01 00:00:00', '0001-01-01 00:00:00'), (5, '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999');

-- case timestamp-infinity
-- covers: infinite timestamps, streamed
-- groups: default, time-microseconds, time-nanoseconds, time-connect, time-isostring
create table t (id int primary key, a timestamp, c timestamp(3));
-- stream
insert into t values (1, 'infinity', 'infinity'), (2, '-infinity', '-infinity');

-- case timestamp-infinity-snapshot
-- covers: infinite timestamps, in the snapshot
create table t (id int primary key, a timestamp, c timestamp(3));
insert into t values (1, 'infinity', 'infinity'), (2, '-infinity', '-infinity');
-- stream
insert into t values (3, null, null);

-- case timestamptzs
-- covers: timestamp with time zone in UTC, with the column's digits
-- groups: default, time-isostring, time-connect, time-nanoseconds
create table t (id int primary key, a timestamptz, b timestamptz(0), c timestamptz(3), d timestamptz not null);
insert into t values (1, '2016-11-04 13:51:30.123456+02', '2016-11-04 13:51:30+02', '2016-11-04 13:51:30.123+02', '1970-01-01 00:00:00+00');
-- stream
insert into t values (2, '2019-07-09 02:28:10+01', '2019-07-09 02:28:00+01', '2019-07-09 02:28:10.5+01', '1969-12-31 23:59:59.999999+00'), (3, null, null, null, '2024-02-29 00:00+14');
delete from t where id = 1;

-- case timestamptz-far
-- covers: timestamps with time zone far away and infinite, streamed
create table t (id int primary key, a timestamptz);
-- stream
insert into t values (1, '21016-11-04 13:51:30.123456+07'), (2, '294247-01-01 23:59:59.999999+00'), (3, '4714-12-31 23:59:59.999999+00 BC'), (4, 'infinity'), (5, '-infinity'), (6, '0044-03-15 12:00+00 BC');

-- case timestamptz-infinity-snapshot
-- covers: timestamps with time zone, infinite and far, in the snapshot
create table t (id int primary key, a timestamptz);
insert into t values (1, 'infinity'), (2, '-infinity'), (3, '21016-11-04 13:51:30.123456+07'), (4, '0044-03-15 12:00+00 BC');
-- stream
insert into t values (5, null);

-- case intervals
-- covers: interval as microseconds or as text
-- groups: default, interval-string
create table t (id int primary key, a interval, b interval not null);
insert into t values (1, '1 year 2 mons 3 days 04:05:06.78', '0');
-- stream
insert into t values (2, '-1 year -2 mons +3 days -04:05:06.789', '1 day'), (3, null, '1 mon'), (4, '00:00:00.000001', '-00:00:00.000001'), (5, '178000000 years', '1 year -1 day');
delete from t where id = 4;
