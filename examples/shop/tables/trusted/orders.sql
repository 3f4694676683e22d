-- An order comes again with every change of its status. The order of the records is total, so that every engine picks the
-- same one.
select
    r.order_id,
    r.customer_id,
    r.placed_at,
    r.updated_at,
    r.status,
    r.currency,
    r.ship_to.country as country,
    r.items,
    r.total
from (
    select
        l.*,
        row_number() over (
            partition by l.order_id
            order by l.updated_at desc nulls last, l.source_file asc nulls last, l.source_offset asc nulls last
        ) as newest
    from orders_landing l
) r
where r.newest = 1
