select
    r.sku,
    r.name,
    r.category,
    r.list_price,
    r.stock,
    r.snapshot_date
from (
    select
        l.*,
        row_number() over (
            partition by l.sku
            order by l.snapshot_date desc nulls last, l.source_file desc nulls last, l.source_offset asc nulls last
        ) as newest
    from products_landing l
) r
where r.newest = 1
