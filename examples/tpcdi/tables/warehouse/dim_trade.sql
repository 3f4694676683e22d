select t.t_id, t.t_at, t.t_status, y.tt_name, t.t_symbol, t.t_account, a.a_customer, a.c_tier, a.b_branch, s.s_exchange, s.s_company,
       t.t_quantity, t.t_price, t.t_quantity * t.t_price as amount, t.t_fee
from trade t
join trade_type y on y.tt_id = t.t_type
join dim_account a on a.a_id = t.t_account and a.valid_from <= t.t_at and (a.valid_to > t.t_at or a.valid_to is null)
join dim_security s on s.s_symbol = t.t_symbol and s.valid_from <= t.t_at and (s.valid_to > t.t_at or s.valid_to is null)
