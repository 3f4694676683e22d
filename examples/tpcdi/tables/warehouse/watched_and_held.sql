select w.w_customer, w.w_symbol, w.first_at
from fact_watches w
where w.cancelled_at is null
  and not exists (
    select 1 from dim_trade t
    where t.a_customer = w.w_customer and t.t_symbol = w.w_symbol and t.t_status = 'CMPT'
)
