\set price random(100, 99999)
begin;
with bought as (
    insert into customers (name, email) values ('customer ' || :price, 'c' || :price || '@shop.example') returning id)
insert into orders (customer, item, price) select id, 'item ' || (:price % 50), :price / 100.0 from bought;
commit;
