select
    cast(l.placed_at as date) as day,
    p.category,
    count(*) as lines,
    sum(l.amount) as sold,
    sum(coalesce(r.amount, cast(0 as decimal(18, 2)))) as refunded
from order_lines l
join products p on p.sku = l.sku
left join (
    select f.order_id, f.sku, sum(f.amount) as amount
    from refunds_landing f
    group by f.order_id, f.sku
) r on r.order_id = l.order_id and r.sku = l.sku
group by cast(l.placed_at as date), p.category
