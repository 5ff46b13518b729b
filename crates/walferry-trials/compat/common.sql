create extension hstore;;
create extension citext;;
create extension ltree;;
-- Stand-ins that keep the text they are given, for types of pgvector and PostGIS.
do $$
declare name text;
begin
  foreach name in array array['vector', 'halfvec', 'sparsevec', 'geometry', 'geography'] loop
    execute format('create type public.%I', name);
    execute format('create function public.%I(cstring) returns public.%I language internal immutable strict as ''textin''', name || '_in', name);
    execute format('create function public.%I(public.%I) returns cstring language internal immutable strict as ''textout''', name || '_out', name);
    execute format('create type public.%I (input = public.%I, output = public.%I, internallength = variable, storage = extended)',
      name, name || '_in', name || '_out');
  end loop;
end $$
