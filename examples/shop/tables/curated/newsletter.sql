select
    c.email,
    c.name,
    coalesce(o.orders, 0) as orders
from (
    select
        l.*,
        row_number() over (
            partition by l.email
            order by
                l.updated_at desc nulls last,
                case when l.newsletter_since is null then 0 else 1 end asc nulls last,
                l.source_file asc nulls last,
                l.source_offset asc nulls last
        ) as newest
    from customers_landing l
) c
left join (
    select s.customer_id, count(*) as orders
    from orders s
    where s.status <> 'cancelled'
    group by s.customer_id
) o on o.customer_id = c.customer_id
where c.newest = 1
  and c.newsletter_since is not null
