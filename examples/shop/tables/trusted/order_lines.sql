select
    o.order_id,
    o.customer_id,
    o.placed_at,
    o.country,
    t.sku,
    t.quantity,
    t.unit_price,
    cast(t.quantity * t.unit_price as decimal(38, 2)) as amount
from orders o
cross join unnest(o.items) as t(sku, quantity, unit_price)
where o.status <> 'cancelled'
