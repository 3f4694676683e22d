-- What Athena does not parse: each statement is one that our parser takes, that Trino's own parser refuses, and that
-- `check` warns of. Those marked with "both" are refused by sqlglot too.
select x::varchar as y from t;
select x from t where x == 1;
select `x` from t; -- both
select s from t where s = $$a$$;
select x from t order by x limit 1 offset 1;
select x from t order by x limit 1, 2;
select x from t order by x limit 1 + 1;
select distinct on (x) x from t;
select x from t qualify row_number() over (order by x) = 1; -- both
select * exclude (d) from t;
select * except (d) from t;
select * replace (1 as x) from t;
from t select x;
select x from t union all by name select x from t;
select t.x from t left semi join u on u.x = t.x;
select t.x from t left anti join u on u.x = t.x;
select t.x from t join u;
select x from t |> where x = 1;
select x from t where b is true;
select x from t where b is not true;
select x from t where b is false;
select x from t where b is not false;
select x from t where b is unknown;
select x from t where b is not unknown;
select s from t where s ilike 'a%';
select s from t where s ~ 'a'; -- both
select s from t where s !~ 'a'; -- both
select s from t where s ~* 'a';
select s from t where s !~* 'a';
select s from t where s ~~ 'a';
select x from t where x <=> 1;
select x & 1 as y from t;
select x | 1 as y from t;
select x ^ 1 as y from t;
select x << 1 as y from t;
select x >> 1 as y from t;
select x from t where cast(x as bigint unsigned) = 1;
select d + interval 1 day as e from t;
select x from t where cardinality([x, 1]) = 2;
select {'a': x}['a'] as y from t;
select overlay(s placing 'x' from 1 for 1) as y from t;
select lag(x ignore nulls) over (order by x) as y from t;
select extract(epoch from d) as y from t;
select extract(millisecond from m) as y from t;
select left(s, 1) as y from t;
select right(s, 1) as y from t;
select x as escape from t;
select x as skip from t;
select x as execute from t;
select x as normalize from t;
select x as constraint from t;
select x as localtime from t;
select x from t as prepare;
select é as y from (select x as é from t) as q;
select x, from t;
select safe_cast(s as bigint) as y from t;
select extract(year, d) as y from t;
select substr(s from 1) as y from t;
select substring(s for 2) as y from t;
select timestamp with time zone '2020-01-01 00:00:00' as y from t;
select x from t where exists (select from u);
