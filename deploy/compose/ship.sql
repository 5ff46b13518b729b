update orders set state = 'shipped' where id = (select id from orders where state = 'placed' order by id limit 1 for update skip locked);
