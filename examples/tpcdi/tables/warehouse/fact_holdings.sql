select t.t_account, t.t_symbol, count(*) as trades,
       sum(case when y.tt_is_sell = 1 then -t.t_quantity else t.t_quantity end) as shares
from trade t
join trade_type y on y.tt_id = t.t_type
where t.t_status = 'CMPT'
group by t.t_account, t.t_symbol
