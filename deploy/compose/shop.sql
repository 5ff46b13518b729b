-- The tables of the shop; may be run again.
create table if not exists customers (
    id bigint generated always as identity primary key,
    name text not null,
    email text not null,
    joined timestamptz not null default now()
);
create table if not exists orders (
    id bigint generated always as identity primary key,
    customer bigint not null,
    item text not null,
    price numeric(10, 2) not null,
    state text not null default 'placed',
    placed timestamptz not null default now()
);
