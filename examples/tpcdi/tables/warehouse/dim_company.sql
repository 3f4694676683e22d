select c.co_id, c.co_name, i.in_name as industry, i.in_sector as sector, c.co_rating, c.co_ceo, c.valid_from, c.valid_to
from (
    select co_id, co_name, co_industry, co_rating, co_ceo, co_from as valid_from,
           lead(co_from) over (partition by co_id order by co_from, source_file, source_offset) as valid_to
    from company
) c
join industry i on i.in_id = c.co_industry
