-- The shop stays small.
delete from orders where id in (select id from orders order by id desc offset 100000 limit 100);
