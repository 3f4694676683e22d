select c.co_id, c.co_name, c.sector, date_trunc('month', t.t_at) as month, count(*) as trades, sum(t.amount) as amount
from dim_trade t
join dim_company c on c.co_id = t.s_company and c.valid_to is null
group by c.co_id, c.co_name, c.sector, date_trunc('month', t.t_at)
