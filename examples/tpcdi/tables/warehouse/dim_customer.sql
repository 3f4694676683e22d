select c.c_id, c.c_name, c.c_tier, c.c_city, c.c_street, c.valid_from, c.valid_to, p.income, p.credit
from (
    select c_id, c_name, c_tier, c_city, c_street, c_from as valid_from,
           lead(c_from) over (partition by c_id order by c_from, source_file, source_offset) as valid_to
    from customer
) c
left join (
    select p_name, max(p_income) as income, max(p_credit) as credit from prospect group by p_name
) p on p.p_name = c.c_name
