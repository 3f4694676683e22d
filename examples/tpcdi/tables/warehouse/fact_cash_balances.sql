select ct_account, on_day, amount,
       sum(amount) over (partition by ct_account order by on_day) as balance
from (
    select ct_account, cast(ct_at as date) as on_day, sum(ct_amount) as amount
    from cash_transaction
    group by ct_account, cast(ct_at as date)
) d
