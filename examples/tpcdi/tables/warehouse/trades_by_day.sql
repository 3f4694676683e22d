select cast(t_at as date) as on_day, tt_name, s_exchange, count(*) as trades, sum(amount) as amount, sum(t_fee) as fees
from dim_trade
where t_status = 'CMPT'
group by cast(t_at as date), tt_name, s_exchange
