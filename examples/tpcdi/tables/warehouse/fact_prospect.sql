select p.p_id, p.p_name, p.p_city, p.p_income, p.p_cars, p.p_credit, p.p_age, p.p_batch, c.c_id, c.c_tier
from prospect p
left join dim_customer c on c.c_name = p.p_name and c.valid_to is null
