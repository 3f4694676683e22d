select a.a_id, a.a_name, a.a_status, a.valid_from, a.valid_to, a.a_customer, c.c_tier, c.c_city, b.b_name, b.b_branch
from (
    select a_id, a_name, a_status, a_customer, a_broker, a_from as valid_from,
           lead(a_from) over (partition by a_id order by a_from, source_file, source_offset) as valid_to
    from account
) a
join dim_customer c on c.c_id = a.a_customer and c.valid_to is null
join dim_broker b on b.b_id = a.a_broker
