select t_account, t_id, t_at, t_symbol, amount
from (
    select t_account, t_id, t_at, t_symbol, amount,
           row_number() over (partition by t_account order by t_at desc, t_id desc, t_symbol, amount) as place
    from dim_trade
) t
where place = 1
