select w_customer, w_symbol, count(*) as changes, min(w_at) as first_at,
       max(case when w_action = 'CNCL' then w_at end) as cancelled_at
from watch
group by w_customer, w_symbol
